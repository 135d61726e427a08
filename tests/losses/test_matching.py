import functools
import itertools

import keras
import numpy as np
import pytest
from scipy import optimize

from keras_vtr.losses import detr_terms
from keras_vtr.losses.matching import assign
from keras_vtr.losses.matching import pairwise_cost
from tests.numpy_boxes import restate

# Line by line JAX compiles each line: most of the time, for the same answers.
IS_JAX = keras.backend.backend() == "jax"
COMPILED = pytest.mark.parametrize(
    "compiled", [True] if IS_JAX else [False, True]
)


@functools.cache  # a function compiles each shape once
def compiled_assign():
    if IS_JAX:
        import jax

        return jax.jit(assign)
    import tensorflow as tf

    return tf.function(assign, jit_compile=True)


def solve(cost, is_target=None, compiled=IS_JAX):
    cost = np.asarray(cost, "float32")
    if is_target is None:
        is_target = np.ones(cost.shape[:2], bool)
    function = compiled_assign() if compiled else assign
    return keras.ops.convert_to_numpy(function(cost, is_target))


def check_valid(assignment, is_target, num_queries):
    """One query a target, none twice, none for padding."""
    assert assignment.dtype == np.int32
    assert (assignment[~is_target] == -1).all()
    assert (assignment[is_target] >= 0).all()
    assert (assignment < num_queries).all()
    for row, real in zip(assignment, is_target, strict=True):
        assert len(set(row[real])) == real.sum()


def check_optimal(cost, is_target, assignment):
    """The total equals SciPy's, compared in float64, to 1e-5.

    Relative to the total of the magnitudes, since costs of both signs can
    cancel to a total near zero.
    """
    check_valid(assignment, is_target, cost.shape[2])
    for p in range(len(cost)):
        rows = np.flatnonzero(is_target[p])
        real = cost[p, rows].astype("float64")
        ours = real[np.arange(len(rows)), assignment[p, rows]]
        best = real[optimize.linear_sum_assignment(real)]
        tolerance = 1e-5 * np.abs(best).sum()
        assert abs(ours.sum() - best.sum()) <= tolerance, (p, cost.shape)


def random_costs(rng, kind, shape):
    if kind == "ties":
        return rng.integers(0, 4, size=shape)
    if kind == "equal rows":
        return np.repeat(rng.random((shape[0], 1, shape[2])), shape[1], axis=1)
    if kind == "all equal":
        return np.full(shape, 0.3)
    if kind == "magnitudes":
        return 10 ** rng.uniform(-6, 6, size=shape)
    if kind == "negative":
        return -rng.random(shape) * 100
    if kind == "both signs":
        return rng.normal(size=shape)
    if kind == "trained":
        cost = 1 + rng.random(shape)
        for p in range(shape[0]):
            chosen = rng.permutation(shape[2])[: shape[1]]
            cost[p, np.arange(shape[1]), chosen] -= 2
        return cost
    return rng.random(shape)  # "uniform"


KINDS = (
    "uniform",
    "ties",
    "equal rows",
    "all equal",
    "magnitudes",
    "negative",
    "both signs",
    "trained",
)


def random_problems(rng, kind, num_problems, num_targets, num_queries):
    shape = (num_problems, num_targets, num_queries)
    cost = random_costs(rng, kind, shape).astype("float32")
    share = rng.choice([0.0, 0.5, 0.9, 1.0], size=(num_problems, 1))
    is_target = rng.random(shape[:2]) < share
    return cost, is_target


@COMPILED
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("num_targets", "num_queries"), [(1, 1), (1, 7), (5, 5), (7, 13), (23, 29)]
)
def test_the_total_cost_is_the_least(
    rng, kind, num_targets, num_queries, compiled
):
    cost, is_target = random_problems(rng, kind, 20, num_targets, num_queries)
    check_optimal(cost, is_target, solve(cost, is_target, compiled))


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(0, marks=pytest.mark.slow),
        *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5)),
    ],
)
def test_a_hundred_thousand_random_problems_are_solved_optimally(seed):
    rng = np.random.default_rng(seed)
    solved = 0
    sizes = [(100, 100), (20, 100), (1, 1)]
    sizes += [
        tuple(sorted(rng.integers(1, 101, size=2).tolist())) for _ in range(7)
    ]
    sizes += [
        tuple(sorted(rng.integers(1, 13, size=2).tolist())) for _ in range(10)
    ]
    for num_targets, num_queries in sizes:
        for kind in KINDS:
            count = 40 if num_targets > 12 else 230
            cost, is_target = random_problems(
                rng, kind, count, num_targets, num_queries
            )
            check_optimal(cost, is_target, solve(cost, is_target))
            solved += count
    assert solved >= 20_000, solved


@pytest.mark.parametrize("num_queries", [3, 6])
def test_no_other_assignment_is_cheaper(rng, num_queries):
    shape = (num_queries, 3, num_queries, num_queries)
    costs = rng.normal(size=shape).astype("float32")
    for num_targets, cost in enumerate(costs, start=1):
        is_target = np.arange(num_queries) < num_targets
        assignment = solve(cost, np.tile(is_target, (3, 1)))
        rows = np.arange(num_targets)
        for p in range(3):
            cheapest = min(
                cost[p, rows, list(columns)].astype("float64").sum()
                for columns in itertools.permutations(
                    range(num_queries), num_targets
                )
            )
            ours = cost[p, rows, assignment[p, rows]].astype("float64").sum()
            np.testing.assert_allclose(ours, cheapest, rtol=1e-5, atol=1e-6)


def test_a_case_worked_out_by_hand():
    # Both want query 0; the second loses more by going elsewhere.
    assert solve([[[1, 2, 9], [1, 5, 9]]]).tolist() == [[1, 0]]


@COMPILED
def test_permuting_the_targets_permutes_the_answer(rng, compiled):
    cost = rng.random((9, 11, 17)).astype("float32")
    is_target = rng.random((9, 11)) < 0.7
    order = rng.permutation(11)
    np.testing.assert_array_equal(
        solve(cost, is_target, compiled)[:, order],
        solve(cost[:, order], is_target[:, order], compiled),
    )


def test_padding_changes_nothing_wherever_it_stands(rng):
    cost = rng.random((9, 5, 17)).astype("float32")
    padded = rng.normal(size=(9, 15, 17)).astype("float32")
    padded[:, 1::3] = cost
    is_target = np.zeros((9, 15), bool)
    is_target[:, 1::3] = True
    np.testing.assert_array_equal(
        solve(padded, is_target)[:, 1::3], solve(cost)
    )


def test_problems_do_not_disturb_each_other(rng):
    cost = rng.random((9, 11, 17)).astype("float32")
    cost[4] = np.nan
    together = solve(cost)
    for p in (3, 5):
        np.testing.assert_array_equal(together[p], solve(cost[p : p + 1])[0])


@pytest.mark.parametrize("shape", [(0, 3, 5), (3, 0, 5), (0, 0, 5)])
def test_no_problems_and_no_targets_are_fine(shape):
    if shape[0] == 0 and IS_JAX:
        pytest.skip("JAX can't gather from an empty array")
    assert solve(np.zeros(shape)).shape == shape[:2]


@COMPILED
@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e-38, 0.0]
)
@pytest.mark.parametrize("share", [0.1, 0.9, 1.0])
def test_any_cost_ends_in_a_valid_assignment(rng, value, share, compiled):
    cost = rng.normal(size=(30, 13, 17)).astype("float32")
    cost[rng.random(cost.shape) < share] = value
    is_target = rng.random((30, 13)) < 0.8
    check_valid(solve(cost, is_target, compiled), is_target, 17)


@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e30, 1e36])
def test_the_scale_of_the_costs_does_not_matter(rng, scale):
    cost = rng.random((30, 13, 17)).astype("float32") * np.float32(scale)
    is_target = np.ones((30, 13), bool)
    check_optimal(cost, is_target, solve(cost, is_target))


def test_padding_may_outnumber_the_queries_but_not_within_a_graph():
    cost = np.random.default_rng(0).random((2, 5, 3)).astype("float32")
    is_target = np.array([[True, False, True, False, True], [False] * 5])
    check_optimal(cost, is_target, solve(cost, is_target, compiled=False))
    with pytest.raises(ValueError, match=r"padding included.*5 targets, 3"):
        solve(cost, is_target, compiled=True)


def test_more_targets_than_queries_are_refused():
    with pytest.raises(ValueError, match="Received: 4 targets, 3 queries"):
        assign(np.ones((2, 4, 3)), np.ones((2, 4), bool))
    with pytest.raises(ValueError, match=r"`cost` must have the shape \(P, M"):
        assign(np.ones((4, 3)), np.ones(4, bool))


@pytest.mark.skipif(IS_JAX, reason="shapes are static in JAX")
def test_a_surplus_that_shows_only_at_run_time_is_left_out(rng):
    import tensorflow as tf

    specification = (
        tf.TensorSpec((None, None, 3)),
        tf.TensorSpec((None, None), tf.bool),
    )
    function = tf.function(assign, input_signature=specification)
    cost = rng.random((2, 5, 3)).astype("float32")
    is_target = np.ones((2, 5), bool)
    assignment = function(cost, is_target).numpy()
    check_valid(assignment, np.tile(np.arange(5) < 3, (2, 1)), 3)


def test_the_cost_is_that_of_detr(rng):
    probabilities = rng.dirichlet(np.ones(4), size=(2, 1, 5)).astype("float32")
    labels = np.array([[0, 2, -1], [1, 1, 0]])
    true_boxes = rng.uniform(0.2, 0.6, size=(2, 3, 4)).astype("float32")
    boxes = rng.uniform(0.2, 0.6, size=(2, 1, 5, 4)).astype("float32")
    cost = keras.ops.convert_to_numpy(
        pairwise_cost(
            detr_terms(label_weight=1.5),
            {"labels": labels, "boxes": true_boxes},
            {"logits": np.log(probabilities), "boxes": boxes},
        )
    )
    assert cost.shape == (2, 1, 3, 5)
    for b, m, q in itertools.product(range(2), range(3), range(5)):
        if labels[b, m] < 0:
            continue
        x, y = true_boxes[b, m], boxes[b, 0, q]
        corners = [[*(z[:2] - z[2:] / 2), *(z[:2] + z[2:] / 2)] for z in (x, y)]
        expected = (
            5.0 * np.abs(x - y).sum()
            - 1.5 * probabilities[b, 0, q, labels[b, m]]
            - 2.0 * restate(*corners)[1]
        )
        np.testing.assert_allclose(cost[b, 0, m, q], expected, atol=1e-5)
