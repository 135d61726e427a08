"""The solver behind `assign`: shortest augmenting paths, in parallel.

First each query goes to the first target for which it is the cheapest one.
Each remaining target then searches, by Dijkstra's algorithm, for the cheapest
path "this query, whose target takes that query, ..." that ends at a free query,
and every target on the path moves to its next query. One loop advances all
problems of a batch, each in its own phase, so it takes as many steps as the
hardest problem, not the sum over the problems.
"""

import keras
from keras import ops

# The phases of a problem.
START, SEARCH, AUGMENT, DONE = 0, 1, 2, 3
LARGEST = 3e38  # nearly the largest float32


def solve(cost, is_target):
    """`keras_vtr.losses.matching.assign`, without its checks."""
    cost, is_target = _standardize(cost, is_target)
    state = _greedy_start(cost, is_target)
    (state,) = ops.while_loop(
        lambda state: ops.any(state["phase"] != DONE),
        lambda state: (_advance(state, cost, is_target),),
        (state,),
    )
    return state["query_of_target"][:, :-1]


def _standardize(cost, is_target):
    """Finite costs with room for sums; no more targets than queries."""
    cost = ops.nan_to_num(
        ops.cast(cost, "float32"), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST
    )
    is_target = ops.cast(is_target, "bool")
    # With more targets than queries at run time the loop would not end.
    rank = ops.cumsum(ops.cast(is_target, "int32"), axis=1)
    is_target = ops.logical_and(is_target, rank <= ops.shape(cost)[-1])
    # One more row, since M may be 0 and a gather needs a row. The factor is a
    # power of two, so it changes no digit.
    cost = ops.pad(cost * 2.0**-6, ((0, 0), (0, 1), (0, 0)))
    return cost, ops.pad(is_target, ((0, 0), (0, 1)))


def _greedy_start(cost, is_target):
    """The first state: a target gets its cheapest query if it is free.

    `price` is the dual variable of a query. The invariant: the query of a
    target has the least `cost + price` for it. With all prices at 0 it is true
    for the targets that have their cheapest query.
    """
    best = ops.cast(ops.argmin(cost, axis=2), "int32")  # (P, M)
    queries = ops.arange(ops.shape(cost)[2], dtype="int32")
    # Not `==`, which loses the rank of unknown shapes on TensorFlow.
    is_cheapest = ops.logical_and(
        ops.equal(best[:, :, None], queries), is_target[:, :, None]
    )  # (P, M, Q)
    first = ops.cast(ops.argmax(is_cheapest, axis=1), "int32")
    target_of_query = ops.where(ops.any(is_cheapest, axis=1), first, -1)
    is_first = ops.equal(_gather(target_of_query, best), _positions(is_target))
    query_of_target = ops.where(ops.logical_and(is_first, is_target), best, -1)
    zeros = ops.zeros_like(query_of_target[:, 0])
    floats = ops.zeros_like(cost[:, 0, :])  # (P, Q)
    return {
        "phase": zeros + START,
        "query_of_target": query_of_target,
        "target_of_query": target_of_query,
        "price": floats,
        # One search: its first target, the query reached last, and for each
        # query the length of the shortest path, the last target of this path,
        # and whether it is final.
        "root": zeros,
        "query": zeros,
        "distance": floats,
        "from_target": ops.zeros_like(target_of_query),
        "is_final": ops.zeros_like(target_of_query, dtype="bool"),
    }


def _advance(state, cost, is_target):
    """Advances every problem by one step of its phase."""
    state = _start_search(state, cost, is_target)
    state = _search(state, cost)
    return _augment(state)


def _start_search(state, cost, is_target):
    """START: begins the search of the first target without a query."""
    starts = state["phase"] == START
    is_unmatched = ops.logical_and(is_target, state["query_of_target"] < 0)
    root = ops.cast(ops.argmax(is_unmatched, axis=1), "int32")
    root = ops.where(starts, root, state["root"])
    starts_column = starts[:, None]
    phase = ops.where(ops.any(is_unmatched, axis=1), SEARCH, DONE)
    return {
        **state,
        "root": root,
        "phase": ops.where(starts, phase, state["phase"]),
        "distance": ops.where(
            starts_column,
            _gather(cost, root) + state["price"],
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
    """SEARCH: makes the nearest open query final, and continues from it."""
    searches = state["phase"] == SEARCH
    price, distance = state["price"], state["distance"]
    is_open = ops.logical_not(state["is_final"])
    open_distance = ops.where(is_open, distance, float("inf"))
    nearest = ops.cast(ops.argmin(open_distance, axis=1), "int32")
    query = ops.where(searches, nearest, state["query"])
    length = ops.min(open_distance, axis=1)
    owner = _gather(state["target_of_query"], query)

    # A free query ends the search. The prices of the final queries rise, so
    # that the invariant is true after the move.
    found = ops.logical_and(searches, owner < 0)
    price = ops.where(
        ops.logical_and(found[:, None], state["is_final"]),
        price + length[:, None] - distance,
        price,
    )

    # Else the owner would have to move: paths through it may be shorter.
    moves = ops.logical_and(searches, owner >= 0)[:, None]
    here = ops.equal(_positions(distance), query[:, None])
    is_open = ops.logical_and(is_open, ops.logical_not(here))
    reduced = _gather(cost, ops.where(owner < 0, 0, owner)) + price
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
    """AUGMENT: gives the query to the path's last target, and frees its own."""
    augments = state["phase"] == AUGMENT
    query = state["query"]
    target = _gather(state["from_target"], query)
    freed = _gather(state["query_of_target"], target)
    gets_target = ops.logical_and(
        augments[:, None],
        ops.equal(_positions(state["target_of_query"]), query[:, None]),
    )
    gets_query = ops.logical_and(
        augments[:, None],
        ops.equal(_positions(state["query_of_target"]), target[:, None]),
    )
    is_over = ops.logical_and(augments, ops.equal(target, state["root"]))
    goes_on = ops.logical_and(augments, ops.not_equal(target, state["root"]))
    return {
        **state,
        "phase": ops.where(is_over, START, state["phase"]),
        "query": ops.where(goes_on, freed, query),
        "target_of_query": ops.where(
            gets_target, target[:, None], state["target_of_query"]
        ),
        "query_of_target": ops.where(
            gets_query, query[:, None], state["query_of_target"]
        ),
    }


def _positions(x):
    """0, 1, 2, ... along axis 1 of x."""
    return ops.arange(ops.shape(x)[1], dtype="int32")


def _gather(x, index):
    """For each problem p, x[p, index[p]]; index is (P,) or (P, M)."""
    num_problems, length = ops.shape(x)[:2]
    flat = ops.reshape(x, (-1, *ops.shape(x)[2:]))
    first = ops.arange(num_problems, dtype="int32") * length
    first = ops.reshape(first, (-1, *[1] * (len(index.shape) - 1)))
    return ops.take(flat, first + index, axis=0)


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Without XLA every step of the loop dispatches its operations one by one
    # (benchmarks/README.md). In a step that XLA compiles it changes nothing.
    solve = tf.function(solve, jit_compile=True, autograph=False)
