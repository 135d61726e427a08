"""Which query answers for which target: the cost of each pair, and the choice.

DETR trains its queries as a set: before the loss, each true box is given to
exactly one query, such that the sum of the costs is the least possible
(Carion et al. 2020, section 3.1, equation 1).
"""

from keras import ops

from keras_vtr.losses.pairs import Lazy
from keras_vtr.losses.pairs import Pairs
from keras_vtr.losses.shortest_augmenting_path import solve
from keras_vtr.losses.terms import check_shape


def pairwise_cost(terms, y_true, y_pred):
    """What it would cost to give each target to each query.

    Carion et al. 2020, section 3.1 and appendix A.2: a weighted sum.

    Args:
        terms: Of `HungarianLoss`, those with a `cost_weight`.
        y_true: Dict with `"labels"` (B, M) and `"boxes"` (B, M, 4),
            `rel_center_xywh`.
        y_pred: Dict with `"logits"` (B, L, Q, K + 1) and `"boxes"`
            (B, L, Q, 4), of L decoder layers.

    Returns:
        (B, L, M, Q) float32. Rows of padding targets mean nothing.
    """
    num_images, num_targets = y_true["labels"].shape
    _, num_layers, num_queries, _ = y_pred["logits"].shape
    shape = (num_images, num_layers, num_targets, num_queries)
    total = 0.0
    for term in terms:
        if term.cost_weight:
            cost = term.cost(y_true, y_pred)
            check_shape(term, "cost", cost, shape)
            total = total + term.cost_weight * cost
    return total


def assign(cost, is_target):
    """Gives each target a query of its own, at the least total cost.

    Exact, for many problems at once: the shortest augmenting paths of Jonker
    and Volgenant 1987 in the rectangular form of Crouse 2016, "On implementing
    2D rectangular assignment algorithms", targets as rows. Written with tensor
    operations only, so XLA compiles it within a training step.

    Args:
        cost: (P, M, Q) float: P problems, M targets, Q queries. Any finite
            values. NaN and infinity count as the largest finite cost,
            so the answer stays one-to-one, but it means nothing there.
        is_target: (P, M) bool, False for padding.

    Returns:
        (P, M) int32, the query of each target, -1 for padding.

    Raises:
        ValueError: If a problem has more targets than queries, or the shapes
            don't fit. Within a graph padding counts as well, since nobody
            knows there where it is; where the graph leaves the numbers open,
            M is not compared, and targets beyond Q are left out.

    Example:

    >>> cost = keras.ops.array([[[1.0, 2.0, 9.0], [1.0, 5.0, 9.0]]])
    >>> is_target = keras.ops.array([[True, True]])
    >>> print(np.array(keras_vtr.losses.matching.assign(cost, is_target)))
    [[1 0]]
    """
    _check_shapes(cost, is_target)
    return solve(ops.stop_gradient(cost), is_target)


def match(terms, y_true, y_pred, num_images, num_targets):
    """The `Pairs` of the optimal assignment, in each layer by itself.

    Args:
        terms: As for `pairwise_cost`.
        y_true: Likewise.
        y_pred: Likewise.
        num_images: How many there are, over all replicas.
        num_targets: How many targets, likewise.
    """
    is_target = y_true["labels"] >= 0  # (B, M)
    cost = pairwise_cost(terms, y_true, y_pred)  # (B, L, M, Q)
    batch_size, num_layers, most_targets, num_queries = ops.shape(cost)
    num_problems = batch_size * num_layers
    assignment = assign(
        ops.reshape(cost, (num_problems, most_targets, num_queries)),
        ops.repeat(is_target, num_layers, axis=0),
    )  # (B * L, M)
    assignment = ops.reshape(
        assignment, (batch_size, num_layers, most_targets, 1)
    )
    queries = ops.arange(num_queries, dtype="int32")
    answers = ops.equal(assignment, queries)  # (B, L, M, Q)
    matched = ops.any(answers, axis=2)
    target = ops.arange(most_targets, dtype="int32")[:, None]
    target = ops.sum(target * ops.cast(answers, "int32"), axis=2)  # (B, L, Q)

    def of_queries(key):
        values = y_true[key]  # (B, M, ...)
        rest = (None,) * (len(values.shape) - 2)
        # One more target, because there may be none to gather from.
        edges = ((0, 0), (0, 1), *[(0, 0)] * len(rest))
        values = ops.pad(values, edges)[:, None]
        values = ops.take_along_axis(values, target[(..., *rest)], axis=2)
        return ops.where(matched[(..., *rest)], values, ops.zeros_like(values))

    num_all = num_images * ops.cast(num_queries, "float32")
    return Pairs(
        y_true=Lazy(of_queries),
        y_pred=y_pred,
        matched=matched,
        idle=ops.logical_not(matched),
        num_targets=ops.sum(ops.cast(is_target, "float32"), axis=1),
        num_images=num_images,
        num_pairs=num_targets,
        num_idle=num_all - num_targets,
    )


def _check_shapes(cost, is_target):
    if len(cost.shape) != 3 or len(is_target.shape) != 2:
        raise ValueError(
            "`cost` must have the shape (P, M, Q) and `is_target` (P, M). "
            f"Received: cost.shape={tuple(cost.shape)}, "
            f"is_target.shape={tuple(is_target.shape)}"
        )
    num_targets, num_queries = cost.shape[1:]
    if None in (num_targets, num_queries) or num_targets <= num_queries:
        return
    num_targets, counted = _most_targets(is_target)
    if num_targets > num_queries:
        raise ValueError(
            f"There must be at least as many queries as targets{counted}. "
            f"Received: {num_targets} targets, {num_queries} queries. Raise "
            "`num_queries` or pad the targets to fewer."
        )


def _most_targets(is_target):
    """M without padding where values are known; and how it was counted."""
    try:
        is_target = ops.convert_to_numpy(is_target)
    except (AttributeError, NotImplementedError, TypeError):  # within a graph
        return is_target.shape[1], ", padding included"
    return int(is_target.sum(axis=1).max(initial=0)), ""
