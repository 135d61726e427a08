"""Models that train a DETR with further queries, which are dropped later."""

import inspect
import weakref

import keras
import numpy as np
from keras import ops

from keras_vtr.classifiers import classifier_of
from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers.tokens.class_head import find_class_head
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.heads import stack_proposals


def add_queries(detr, prefix, make_queries, inputs=None, *, sees_queries=False):
    """The model of `detr` and of further queries of its decoder.

    Args:
        detr: A detector with an `AnchorDecoder`.
        prefix: Of the further queries' outputs.
        make_queries: From the decoder's `queries` (B, E, D), `memory`,
            `centers` and `padding_mask` to contents (B, P, D) and anchors
            (B, P, 4) of P further queries, the attention mask among them
            (B or 1, P, P) or the number of groups that don't see each other,
            and the proposals, logits, boxes and reference boxes of a layer
            before the decoder, or None.
        inputs: Dict of new inputs, which `make_queries` reads.
        sees_queries: Whether the further queries see the object queries. None
            of the model's queries sees them.
    """
    if f"{prefix}_boxes" in detr.output:
        raise ValueError(
            f"`detr` must not have {prefix} queries yet; pass a larger "
            f"`num_groups` instead. Received: {detr.name!r}"
        )
    insert = _Insertion(
        make_queries, detr.output["boxes"].shape[1] if sees_queries else 0
    )
    tensors = [*detr.inputs, *(inputs or {}).values()]
    outputs = keras.models.clone_model(
        keras.Model(tensors, detr.output),
        input_tensors=tensors,
        clone_function=lambda layer: layer,
        call_function=insert,
    ).output
    if not insert.found:
        raise ValueError(
            '`detr` must be built with queries="anchors" or "selected", since '
            f"boxes become queries. Received: {detr.name!r}"
        )
    answers, boxes, references = insert.found
    class_head = find_class_head(detr)
    if class_head is None:
        raise ValueError(
            "The logits of `detr` must come from a keras_vtr.layers.ClassHead, "
            f"which reads the further queries, too. Received: {detr.name!r}"
        )
    layers = {
        classifier_of(outputs).key: class_head(answers),
        "boxes": boxes,
        "reference_boxes": references,
    }
    layers = stack_proposals(insert.proposals, layers)
    outputs |= {f"{prefix}_{key}": x for key, x in layers.items()}
    if inputs:
        inputs = {**{x.name: x for x in detr.inputs}, **inputs}
    name = f"{detr.name}_{prefix}"
    model = DetectionModel(inputs or detr.input, outputs, name=name)
    # A reference, since Keras would track and save its layers once more.
    vars(model)["_detector"] = weakref.ref(detr.detector())
    return model


class _Insertion:
    """Calls a model's layers, the decoder with further queries behind its own.

    Args:
        make_queries: As in `add_queries`.
        num_seen: How many of the first queries the further ones see.
    """

    def __init__(self, make_queries, num_seen):
        self.make_queries = make_queries
        self.num_seen = num_seen
        self.found = ()  # the decoder's outputs for the further queries
        self.proposals = None

    def __call__(self, layer, *args, **kwargs):
        if not isinstance(layer, AnchorDecoder):
            return layer(*args, **kwargs)
        given = inspect.signature(layer.call).bind(*args, **kwargs).arguments
        read = ("queries", "memory", "centers", "padding_mask")
        contents, anchors, mask, self.proposals = self.make_queries(
            **{name: given[name] for name in read if name in given}
        )
        num_before = given["queries"].shape[1]
        counts = num_before, contents.shape[1]
        given |= _separate(given, counts, mask, self.num_seen)
        for name, x in (("queries", contents), ("anchors", anchors)):
            given[name] = ops.concatenate([given[name], x], axis=1)
        outputs = layer(**given)
        self.found = tuple(x[:, :, num_before:] for x in outputs)
        return tuple(x[:, :, :num_before] for x in outputs)


def _separate(given, counts, mask, num_seen):
    """The decoder's arguments that limit its self attention.

    Groups of as many queries as the only ones before need no mask, with which
    self attention would take as many times longer as there are groups.

    Args:
        given: The decoder's arguments before; `num_groups` is removed.
        counts: The numbers of queries before, and of further ones.
        mask: As from `make_queries`.
        num_seen: As in `_extend_mask`.
    """
    num_before, num_new = counts
    before = given.get("query_mask")
    groups_before = given.pop("num_groups", None)
    if isinstance(mask, int):
        is_alone = before is None and groups_before is None and not num_seen
        if is_alone and num_new == mask * num_before:
            return {"num_groups": mask + 1}
        mask = _mask_of_groups(mask, num_new)
    if groups_before is not None:
        before = _mask_of_groups(groups_before, num_before)
    return {"query_mask": _extend_mask(before, num_before, mask, num_seen)}


def _mask_of_groups(num_groups, num_queries):
    """(1, Q, Q), True within each of the groups of Q queries."""
    number = np.repeat(np.arange(num_groups), num_queries // num_groups)
    return ops.convert_to_tensor((number[:, None] == number)[None])


def _extend_mask(mask, num_before, own_mask, num_seen):
    """The attention mask of the queries before and the P further ones.

    Args:
        mask: (B or 1, E, E) of the queries before, or None.
        num_before: E.
        own_mask: (B or 1, P, P) of the further ones.
        num_seen: The first queries, which the further ones see.
    """
    if mask is None:
        mask = ops.ones((1, num_before, num_before), "bool")
    num_new = own_mask.shape[-1]
    before, new = (0, num_new), (num_before, 0)
    seen = np.zeros([num_before + num_new] * 2, bool)
    seen[num_before:, :num_seen] = True
    return ops.logical_or(
        ops.pad(mask, ((0, 0), before, before), constant_values=False),
        ops.logical_or(
            ops.pad(own_mask, ((0, 0), new, new), constant_values=False), seen
        ),
    )
