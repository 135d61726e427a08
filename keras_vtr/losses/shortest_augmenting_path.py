"""The solver behind `assign`: shortest augmenting paths, many at a time.

A target whose cheapest query nobody claimed before it gets that one at once.
Each other target searches, as Dijkstra would, for the cheapest chain "I take
this query, its target takes that one, ..." that ends at a free query; then
everybody along the chain moves on by one. All problems advance side by side
in one loop, each at its own pace, so a batch takes as many turns as its
hardest problem and not as the sum.
"""

import keras
from keras import ops

# A problem is in one of these phases at each turn of the loop.
START, SEARCH, AUGMENT, DONE = 0, 1, 2, 3


LARGEST = 3e38  # nearly the largest float32


def solve(cost, is_target):
    """`keras_vtr.losses.matching.assign`, for shapes that fit."""
    cost, is_target = _standardize(cost, is_target)
    state = _greedy_start(cost, is_target)
    (state,) = ops.while_loop(
        lambda state: ops.any(state["phase"] != DONE),
        lambda state: (_turn(state, cost, is_target),),
        (state,),
    )
    return state["query_of_target"][:, :-1]


def _standardize(cost, is_target):
    """Finite costs with room for sums; no more targets than queries."""
    cost = ops.nan_to_num(
        ops.cast(cost, "float32"), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST
    )
    is_target = ops.cast(is_target, "bool")
    # A surplus that only shows at run time must not keep the loop from ending.
    rank = ops.cumsum(ops.cast(is_target, "int32"), axis=1)
    is_target = ops.logical_and(is_target, rank <= ops.shape(cost)[-1])
    # One more row, because there may be none and then nothing could be picked.
    # The factor is a power of two, so it changes no digit.
    cost = ops.pad(cost * 2.0**-6, ((0, 0), (0, 1), (0, 0)))
    return cost, ops.pad(is_target, ((0, 0), (0, 1)))


def _greedy_start(cost, is_target):
    """Cheapest query first come, first served; the rest will search.

    `price` is the dual variable of a query: targets compare `cost + price`,
    and no target would rather have another query than the one it holds. With
    all prices at 0 that is true of those who hold their cheapest one.
    """
    best = ops.cast(ops.argmin(cost, axis=2), "int32")  # (P, M)
    queries = ops.arange(ops.shape(cost)[2], dtype="int32")
    # Not `==`: on TensorFlow it forgets the rank of shapes that are open.
    wants = ops.logical_and(
        ops.equal(best[:, :, None], queries), is_target[:, :, None]
    )  # (P, M, Q)
    first = ops.cast(ops.argmax(wants, axis=1), "int32")
    target_of_query = ops.where(ops.any(wants, axis=1), first, -1)
    served = ops.equal(_pick(target_of_query, best), _places(is_target))
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
    here = ops.equal(_places(distance), query[:, None])
    is_open = ops.logical_and(is_open, ops.logical_not(here))
    reduced = _pick(cost, ops.where(owner < 0, 0, owner)) + price
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
        "from_target": ops.where(shorter, owner[:, None], state["from_target"]),
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
        augments[:, None],
        ops.equal(_places(state["target_of_query"]), query[:, None]),
    )
    gets_query = ops.logical_and(
        augments[:, None],
        ops.equal(_places(state["query_of_target"]), target[:, None]),
    )
    is_over = ops.logical_and(augments, ops.equal(target, state["root"]))
    goes_on = ops.logical_and(augments, ops.not_equal(target, state["root"]))
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
    flat = ops.reshape(x, (-1, *ops.shape(x)[2:]))
    first = ops.arange(num_problems, dtype="int32") * length
    first = ops.reshape(first, (-1, *[1] * (len(index.shape) - 1)))
    return ops.take(flat, first + index, axis=0)


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Without XLA every turn of the loop costs the dispatch of its operations
    # (benchmarks/README.md). In a step that XLA compiles it changes nothing.
    solve = tf.function(solve, jit_compile=True, autograph=False)
