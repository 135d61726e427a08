"""Which query answers for which target: the cost of each pair, and the choice.

DETR trains its queries as a set: before the loss, each true box is given to
exactly one query, such that the sum of the costs is the least possible
(Carion et al. 2020, section 3.1, equation 1).
"""

import keras
from keras import ops

from keras_vtr.box_ops import generalized_iou


def pairwise_cost(y_true, y_pred, label_weight, box_weight, giou_weight):
    """What it would cost to give each target to each query.

    Carion et al. 2020, section 3.1 and appendix A.2: `-label_weight *
    probability of the target's class + box_weight * L1 - giou_weight * GIoU`.

    Args:
        y_true: Dict with `"labels"` (B, M) and `"boxes"` (B, M, 4),
            `rel_center_xywh`.
        y_pred: Dict with `"logits"` (B, L, Q, K + 1) and `"boxes"`
            (B, L, Q, 4), of L decoder layers.
        label_weight, box_weight, giou_weight: Weights of the three parts.

    Returns:
        (B, L, M, Q) float32. Rows of padding targets mean nothing.
    """
    probabilities = ops.softmax(y_pred["logits"], axis=-1)
    labels = ops.maximum(y_true["labels"], 0)[:, None, None, :]  # (B, 1, 1, M)
    probability = ops.take_along_axis(probabilities, labels, axis=-1)
    probability = ops.transpose(probability, (0, 1, 3, 2))  # (B, L, M, Q)
    true_boxes = y_true["boxes"][:, None, :, None]  # (B, 1, M, 1, 4)
    pred_boxes = y_pred["boxes"][:, :, None]  # (B, L, 1, Q, 4)
    distance = ops.sum(ops.abs(true_boxes - pred_boxes), axis=-1)
    giou = generalized_iou(corners(true_boxes), corners(pred_boxes))
    return (
        box_weight * distance - label_weight * probability - giou_weight * giou
    )


def corners(boxes):
    """Center, width and height to `xyxy`, in the same unit."""
    return keras.utils.bounding_boxes.convert_format(
        boxes, source="center_xywh", target="xyxy"
    )


def assign(cost, is_target):
    """Gives each target a query of its own, at the least total cost.

    Exact, for many problems at once: the shortest augmenting paths of Jonker
    and Volgenant 1987 in the rectangular form of Crouse 2016, "On implementing
    2D rectangular assignment algorithms", targets as rows. Written with tensor
    operations only, so it runs inside a compiled training step on any device.

    A target with a query that is both its cheapest and claimed by nobody
    before it gets that one at once. Each other target searches, as Dijkstra
    would, for the cheapest chain "I take this query, its target takes that
    one, ..." that ends at a free query. All problems advance side by side in
    one loop, each at its own pace.

    Args:
        cost: (P, M, Q) float: P problems, M targets, Q queries, M <= Q. Any
            finite values. NaN and infinity count as the largest finite cost,
            so the answer stays one-to-one, but it means nothing there.
        is_target: (P, M) bool, False for padding.

    Returns:
        (P, M) int32, the query of each target, -1 for padding.

    Raises:
        ValueError: If there are more targets than queries, or the shapes
            don't fit.

    Example:

    >>> cost = keras.ops.array([[[1.0, 2.0, 9.0], [1.0, 5.0, 9.0]]])
    >>> is_target = keras.ops.array([[True, True]])
    >>> print(keras_vtr.losses.matching.assign(cost, is_target).tolist())
    [[1, 0]]
    """
    _check_shapes(cost, is_target)
    largest = 3e38
    cost = ops.nan_to_num(
        ops.cast(cost, "float32"), nan=largest, posinf=largest, neginf=-largest
    )
    # A power of two: exact, and it leaves room for sums of costs.
    cost = ops.stop_gradient(cost * 2.0**-6)
    is_target = ops.cast(is_target, "bool")
    # A surplus that only shows at run time must not keep the loop from ending.
    rank = ops.cumsum(ops.cast(is_target, "int32"), axis=1)
    is_target = ops.logical_and(is_target, rank <= cost.shape[-1])
    # One more row, because there may be none and then nothing could be picked.
    cost = ops.pad(cost, ((0, 0), (0, 1), (0, 0)))
    is_target = ops.pad(is_target, ((0, 0), (0, 1)))
    return _solve(cost, is_target)[:, :-1]


def _check_shapes(cost, is_target):
    if len(cost.shape) != 3 or len(is_target.shape) != 2:
        raise ValueError(
            "`cost` must have the shape (P, M, Q) and `is_target` (P, M). "
            f"Received: cost.shape={tuple(cost.shape)}, "
            f"is_target.shape={tuple(is_target.shape)}"
        )
    num_targets, num_queries = cost.shape[1:]
    if num_targets is not None and num_targets > num_queries:
        raise ValueError(
            "There must be at least as many queries as targets, padding "
            f"included. Received: {num_targets} targets, {num_queries} "
            "queries. Raise `num_queries` or pad the targets to fewer."
        )


# A problem is in one of these phases at each turn of the loop.
START, SEARCH, AUGMENT, DONE = 0, 1, 2, 3


def _solve(cost, is_target):
    state = _greedy_start(cost, is_target)
    (state,) = ops.while_loop(
        lambda state: ops.any(state["phase"] != DONE),
        lambda state: (_turn(state, cost, is_target),),
        (state,),
    )
    return state["query_of_target"]


def _greedy_start(cost, is_target):
    """Cheapest query first come, first served; the rest will search.

    `price` is the dual variable of a query: targets compare `cost + price`,
    and no target would rather have another query than the one it holds. With
    all prices at 0 that is true of those who hold their cheapest one.
    """
    best = ops.cast(ops.argmin(cost, axis=2), "int32")  # (P, M)
    queries = ops.arange(cost.shape[2], dtype="int32")
    wants = ops.logical_and(
        best[:, :, None] == queries, is_target[:, :, None]
    )  # (P, M, Q)
    first = ops.cast(ops.argmax(wants, axis=1), "int32")
    target_of_query = ops.where(ops.any(wants, axis=1), first, -1)
    served = _pick(target_of_query, best) == _places(is_target)
    query_of_target = ops.where(ops.logical_and(served, is_target), best, -1)
    zeros = ops.zeros_like(query_of_target[:, 0])
    floats = ops.zeros_like(cost[:, 0, :])  # (P, Q)
    return {
        "phase": zeros + START,
        "query_of_target": query_of_target,
        "target_of_query": target_of_query,
        "price": floats,
        # One search: who began it, the query reached last, and for each query
        # the length of the shortest chain, the chain's last target, and
        # whether that is final.
        "root": zeros,
        "query": zeros,
        "distance": floats,
        "from_target": ops.zeros_like(target_of_query),
        "is_final": ops.zeros_like(target_of_query, dtype="bool"),
    }


def _turn(state, cost, is_target):
    """Moves every problem by one step of its own phase."""
    state = _start_search(state, cost, is_target)
    state = _search(state, cost)
    return _augment(state)


def _start_search(state, cost, is_target):
    """START: begins the search of the first target that has no query."""
    starts = state["phase"] == START
    waits = ops.logical_and(is_target, state["query_of_target"] < 0)
    root = ops.cast(ops.argmax(waits, axis=1), "int32")
    root = ops.where(starts, root, state["root"])
    starts_column = starts[:, None]
    phase = ops.where(ops.any(waits, axis=1), SEARCH, DONE)
    return {
        **state,
        "root": root,
        "phase": ops.where(starts, phase, state["phase"]),
        "distance": ops.where(
            starts_column,
            _pick(cost, root) + state["price"],
            state["distance"],
        ),
        "from_target": ops.where(
            starts_column, root[:, None], state["from_target"]
        ),
        "is_final": ops.logical_and(
            state["is_final"], ops.logical_not(starts_column)
        ),
    }


def _search(state, cost):
    """SEARCH: makes the nearest open query final, and looks past it."""
    searches = state["phase"] == SEARCH
    price, distance = state["price"], state["distance"]
    is_open = ops.logical_not(state["is_final"])
    open_distance = ops.where(is_open, distance, float("inf"))
    nearest = ops.cast(ops.argmin(open_distance, axis=1), "int32")
    query = ops.where(searches, nearest, state["query"])
    length = ops.min(open_distance, axis=1)
    owner = _pick(state["target_of_query"], query)

    # A free query ends the search. The final ones are now that much dearer
    # for others: their owners could not do better.
    found = ops.logical_and(searches, owner < 0)
    price = ops.where(
        ops.logical_and(found[:, None], state["is_final"]),
        price + length[:, None] - distance,
        price,
    )

    # Else the owner must move on: chains through it may be shorter.
    moves = ops.logical_and(searches, owner >= 0)[:, None]
    here = _places(distance) == query[:, None]
    is_open = ops.logical_and(is_open, ops.logical_not(here))
    reduced = _pick(cost, ops.maximum(owner, 0)) + price
    length = length - ops.sum(ops.where(here, reduced, 0.0), axis=1)
    through = reduced + length[:, None]
    shorter = ops.logical_and(
        ops.logical_and(moves, is_open), through < distance
    )
    return {
        **state,
        "phase": ops.where(found, AUGMENT, state["phase"]),
        "price": price,
        "query": query,
        "distance": ops.where(shorter, through, distance),
        "from_target": ops.where(
            shorter, owner[:, None], state["from_target"]
        ),
        "is_final": ops.where(
            moves, ops.logical_not(is_open), state["is_final"]
        ),
    }


def _augment(state):
    """AUGMENT: hands the query to the chain's last target; its own is next."""
    augments = state["phase"] == AUGMENT
    query = state["query"]
    target = _pick(state["from_target"], query)
    given_up = _pick(state["query_of_target"], target)
    gets_target = ops.logical_and(
        augments[:, None], _places(state["target_of_query"]) == query[:, None]
    )
    gets_query = ops.logical_and(
        augments[:, None], _places(state["query_of_target"]) == target[:, None]
    )
    is_over = ops.logical_and(augments, target == state["root"])
    goes_on = ops.logical_and(augments, target != state["root"])
    return {
        **state,
        "phase": ops.where(is_over, START, state["phase"]),
        "query": ops.where(goes_on, given_up, query),
        "target_of_query": ops.where(
            gets_target, target[:, None], state["target_of_query"]
        ),
        "query_of_target": ops.where(
            gets_query, query[:, None], state["query_of_target"]
        ),
    }


def _places(x):
    """0, 1, 2, ... along axis 1 of x."""
    return ops.arange(ops.shape(x)[1], dtype="int32")


def _pick(x, index):
    """For each problem p, x[p, index[p]]; index is (P,) or (P, M)."""
    num_problems, length = ops.shape(x)[:2]
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    first = ops.arange(num_problems, dtype="int32") * length
    first = ops.reshape(first, (-1, *[1] * (len(index.shape) - 1)))
    return ops.take(flat, first + index, axis=0)


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Without XLA every turn costs the dispatch of its 60 operations
    # (benchmarks/README.md); inside a step that XLA compiles it changes
    # nothing.
    _solve = tf.function(_solve, jit_compile=True, autograph=False)
