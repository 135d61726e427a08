"""Matching of queries and targets, one to one, at the least total cost.

Carion et al. 2020 (DETR), section 3.1, equation 1.
"""

from keras import ops

from keras_vtr.classifiers import classifier_of
from keras_vtr.losses.pairs import Pairs
from keras_vtr.losses.pairs import gather_targets
from keras_vtr.losses.pairs import stack_layers
from keras_vtr.losses.pairs import with_prefix
from keras_vtr.losses.shortest_augmenting_path import solve
from keras_vtr.losses.terms import check_shape


def pairwise_cost(terms, y_true, y_pred):
    """The matching cost of each pair of a target and a query.

    Carion et al. 2020, section 3.1 and appendix A.2: a weighted sum.

    Args:
        terms: The terms of `HungarianLoss`. `cost_weight` 0 leaves one out.
        y_true: Dict with `"labels"` (B, M) and `"boxes"` (B, M, 4),
            `rel_center_xywh`.
        y_pred: Dict with `"logits"` (B, L, Q, K + 1), or `"sigmoid_logits"`
            (B, L, Q, K), and `"boxes"` (B, L, Q, 4), of L decoder layers.

    Returns:
        (B, L, M, Q) float32. Rows of padding targets are undefined.
    """
    num_images, num_targets = y_true["labels"].shape
    _, num_layers, num_queries, _ = y_pred[classifier_of(y_pred).key].shape
    shape = (num_images, num_layers, num_targets, num_queries)
    total = 0.0
    for term in terms:
        if term.cost_weight:
            cost = term.cost(y_true, y_pred)
            check_shape(term, "cost", cost, shape)
            total = total + term.cost_weight * cost
    return total


def assign(cost, is_target):
    """Assigns each target its own query, at the least total cost.

    Exact, for many problems at once: the shortest augmenting paths of Jonker
    and Volgenant 1987 in the rectangular form of Crouse 2016, "On implementing
    2D rectangular assignment algorithms", targets as rows. It uses tensor
    operations only, so XLA compiles it within a training step.

    Args:
        cost: (P, M, Q) float: P problems, M targets, Q queries. Any finite
            values. NaN and infinity count as the largest finite cost: the
            assignment stays one to one, but is arbitrary there.
        is_target: (P, M) bool, False for padding.

    Returns:
        (P, M) int32, the query of each target, -1 for padding.

    Raises:
        ValueError: If a problem has more targets than queries, or the shapes
            don't fit. Within a graph padding counts too, because its values
            are unknown. If M or Q is unknown in the graph, nothing is checked,
            and targets beyond Q are left out.

    Example:

    >>> cost = keras.ops.array([[[1.0, 2.0, 9.0], [1.0, 5.0, 9.0]]])
    >>> is_target = keras.ops.array([[True, True]])
    >>> print(np.array(keras_vtr.losses.matching.assign(cost, is_target)))
    [[1 0]]
    """
    _check_shapes(cost, is_target)
    return solve(ops.stop_gradient(cost), is_target)


def match(terms, y_true, y_pred, num_images, num_targets):
    """The `Pairs` of the optimal assignment of each decoder layer.

    Args:
        terms: As for `pairwise_cost`.
        y_true: As for `pairwise_cost`.
        y_pred: The `y_pred` of `HungarianLoss`.
        num_images: Images of the batch, over all replicas.
        num_targets: Targets of the batch, over all replicas.
    """
    layers = stack_layers(y_pred)
    return _match_layers(terms, y_true, layers, num_images, num_targets)


def match_groups(terms, y_true, y_pred, num_images, num_targets):
    """The `Pairs` of groups of queries, each matched by itself, or None.

    Chen et al. 2022 (Group DETR), section 3.2: in training, each target has one
    query in each of G groups. The arguments as for `match`, with the outputs
    `"group_boxes"` (B, L, G * Q, 4), ... of `keras_vtr.models.add_groups`. The
    counts of pairs are those of all groups, so a term that is divided by them
    is a mean over the groups.
    """
    if "group_boxes" not in y_pred:
        return None
    num_queries = y_pred["boxes"].shape[1]

    def fold(values):
        size, rest = ops.shape(values)[0], values.shape[3:]
        return ops.reshape(values, (size, -1, num_queries, *rest))

    layers = with_prefix(y_pred, "group_", fold)  # (B, L * G, Q, ...)
    num_groups = y_pred["group_boxes"].shape[2] // num_queries
    # They may have fewer outputs than the model's own queries: no masks.
    terms = [x for x in terms if all(key in layers for key in x.needs)]
    return _match_layers(
        terms, y_true, layers, num_images, num_targets, num_groups
    )


def _match_layers(terms, y_true, y_pred, num_images, num_targets, num_groups=1):
    """Matches (B, L, Q, ...) outputs, `num_groups` for each decoder layer."""
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
    is_pair = ops.equal(assignment, queries)  # (B, L, M, Q)
    matched = ops.any(is_pair, axis=2)
    target = ops.arange(most_targets, dtype="int32")[:, None]
    target = ops.sum(target * ops.cast(is_pair, "int32"), axis=2)  # (B, L, Q)
    num_all = num_images * ops.cast(num_queries, "float32")
    return Pairs(
        y_true=gather_targets(y_true, target, matched),
        y_pred=y_pred,
        matched=matched,
        idle=ops.logical_not(matched),
        num_targets=ops.sum(ops.cast(is_target, "float32"), axis=1),
        num_images=num_images,
        num_pairs=num_groups * num_targets,
        num_idle=num_groups * (num_all - num_targets),
        targets=y_true,
        assignment=assignment[..., 0],
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
            "`num_queries`, or pad the targets to a smaller number."
        )


def _most_targets(is_target):
    """The most targets of an image, and a note if padding was counted."""
    try:
        is_target = ops.convert_to_numpy(is_target)
    except (AttributeError, NotImplementedError, TypeError):  # within a graph
        return is_target.shape[1], ", padding included"
    return int(is_target.sum(axis=1).max(initial=0)), ""
