import math

import keras
import numpy as np
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.detection.anchor_queries import BoxEncoding
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given

SMALLEST = 0.05  # added to the sides of boxes and to the width of the Gaussian
CLOSEST = 1e-3  # coordinates are clipped to [CLOSEST, 1 - CLOSEST]


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorAttentionBias(keras.layers.Layer):
    """Computes a bias that directs each attention head to a part of a box.

    Gao et al. 2021 (SMCA), section 3.2, equations 4 and 5: the logarithm of a
    Gaussian is added to the logits of cross attention. Each head has a learned
    center and width of the Gaussian, in units of the box's width and height,
    as in the modulation of Liu et al. 2022 (DAB-DETR), section 4.4. There they
    are predicted from the content; here they are weights. The initial centers
    are on a ring around the center of the box.

    Args:
        num_heads: H.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        centers: (B, N, 2), of the pixels, from `PixelCenters`.

    Returns:
        (B, H, Q, N), 0 at the center of a head's Gaussian, else negative.

    Raises:
        ValueError: If `num_heads` is not a positive integer.

    Example:

    >>> layer = keras_vtr.layers.AnchorAttentionBias(num_heads=4)
    >>> boxes, centers = keras.ops.ones((2, 5, 4)), keras.ops.ones((2, 7, 2))
    >>> print(tuple(layer(boxes, centers).shape))
    (2, 4, 5, 7)
    """

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        self.num_heads = num_heads

    def build(self, boxes_shape, centers_shape):
        self.offset = self.add_weight(
            shape=(self.num_heads, 2), initializer=_ring, name="offset"
        )
        self.width = self.add_weight(
            shape=(self.num_heads, 2),
            initializer=keras.initializers.Constant(0.5),
            name="width",
        )

    def call(self, boxes, centers):
        boxes = ops.cast(boxes, "float32")[:, :, None]  # (B, Q, 1, 4)
        sides = boxes[..., 2:] + SMALLEST
        center = boxes[..., :2] + ops.cast(self.offset, "float32") * sides
        width = (ops.abs(ops.cast(self.width, "float32")) + SMALLEST) * sides
        centers = ops.cast(centers, "float32")[:, None, None]  # (B, 1, 1, N, 2)
        distance = (centers - center[..., None, :]) / width[..., None, :]
        bias = -0.5 * ops.sum(ops.square(distance), axis=-1)  # (B, Q, H, N)
        bias = ops.transpose(bias, (0, 2, 1, 3))
        return ops.cast(bias, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorDecoder(Stack):
    """Turns queries with boxes into answers and moved boxes, layer by layer.

    Liu et al. 2022 (DAB-DETR), section 4.3, with the blocks of
    `TransformerDecoder`. Before each block, the box gives the query's position
    (`BoxEncoding`) and the bias of cross attention (`AnchorAttentionBias`).
    After it, a head predicts from the answer how the box moves, in logits of
    its coordinates. Gradients don't flow from a layer's box to the next layer.

    Args:
        block: A `TransformerDecoderBlock`, or your own layer with the same
            call arguments and with `num_heads`. Each layer of the decoder is a
            copy of it, as in `TransformerDecoder`.
        num_layers: L, the number of copies.
        norm: The norm of each returned answer. Default: the block's norm if
            the block has `normalize_first`; no norm for other blocks.

    Call arguments:
        queries: (B, Q, D), the content of the queries, such as zeros.
        anchors: (B, Q, 4), `rel_center_xywh`, from `AnchorQueries`.
        memory: (B, N, ...), the encoder's output.
        centers: (B, N, 2), of the memory's pixels, from `PixelCenters`.
        memory_positions: Optional, as `memory`, for the keys of cross
            attention, in each layer.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.
        query_mask: Optional (B, Q, Q) or (1, Q, Q) bool, True where a query
            may attend to another one in self attention.
        return_attention_scores: If True, also return the weights of cross
            attention.

    Returns:
        Answers (B, L, Q, D), and boxes (B, L, Q, 4), `rel_center_xywh`,
        float32, of every layer, last layer last; and with
        `return_attention_scores` the weights (B, L, H, Q, N).

    Raises:
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.zeros((2, 5, 8)), keras.ops.ones((2, 7, 8))
    >>> anchors, centers = keras.ops.ones((2, 5, 4)), keras.ops.ones((2, 7, 2))
    >>> block = keras_vtr.layers.TransformerDecoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> decoder = keras_vtr.layers.AnchorDecoder(block, num_layers=3)
    >>> answers, boxes = decoder(queries, anchors, memory, centers)
    >>> print(tuple(answers.shape), tuple(boxes.shape))
    (2, 3, 5, 8) (2, 3, 5, 4)
    """

    def __init__(self, block, num_layers, *, norm=None, **kwargs):
        super().__init__(block, num_layers, norm=norm, **kwargs)
        if not hasattr(block, "num_heads"):
            raise ValueError(
                "`block` must have `num_heads`, the number of heads of an "
                f"`AnchorAttentionBias`. Received: block={block!r}"
            )

    def build(self, queries_shape, anchors_shape, memory_shape, centers_shape):
        self._build_stack(queries_shape, memory_shape)
        hidden_dim = queries_shape[-1]
        self.encoding = build_sublayer(
            self,
            "box_encoding",
            BoxEncoding,
            anchors_shape,
            hidden_dim=hidden_dim,
        )
        self.biases = [
            build_sublayer(
                self,
                f"attention_bias_{i}",
                AnchorAttentionBias,
                anchors_shape,
                centers_shape,
                num_heads=self.block.num_heads,
            )
            for i in range(self.num_layers)
        ]
        inner = {"units": hidden_dim, "activation": "relu"}
        # Small, so that boxes hardly move at first.
        small = keras.initializers.RandomNormal(stddev=0.01)
        last = {"units": 4, "kernel_initializer": small, "dtype": "float32"}
        self.box_head = [
            build_sublayer(
                self, f"box_head_{i}", Dense, queries_shape, **config
            )
            for i, config in enumerate([inner, inner, last])
        ]

    def call(
        self,
        queries,
        anchors,
        memory,
        centers,
        memory_positions=None,
        padding_mask=None,
        query_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        answers, boxes, every_score = [], [], []
        anchors = ops.cast(anchors, "float32")
        options = given(
            memory_positions=memory_positions,
            padding_mask=padding_mask,
            query_mask=query_mask,
            return_attention_scores=return_attention_scores,
        )
        for block, bias in zip(self.blocks, self.biases, strict=True):
            queries, scores = self._call_block(
                block,
                queries,
                memory,
                query_positions=self.encoding(anchors),
                attention_bias=bias(anchors, centers),
                **options,
            )
            answer = self._normalize(queries)
            moved = answer
            for layer in self.box_head:
                moved = layer(moved)
            moved = ops.sigmoid(ops.cast(moved, "float32") + _logit(anchors))
            answers.append(answer)
            boxes.append(moved)
            every_score.append(scores)
            anchors = ops.stop_gradient(moved)
        lists = [answers, boxes]
        if return_attention_scores:
            lists.append(every_score)
        return tuple(ops.stack(x, axis=1) for x in lists)

    def compute_output_shape(
        self, queries_shape, anchors_shape, memory_shape, centers_shape
    ):
        batch_size, num_queries, hidden_dim = queries_shape
        lead = (batch_size, self.num_layers, num_queries)
        return (*lead, hidden_dim), (*lead, 4)

    def compute_output_spec(self, queries, anchors, memory, centers, **kwargs):
        answers, boxes = self.compute_output_shape(
            queries.shape, anchors.shape, memory.shape, centers.shape
        )
        outputs = [
            keras.KerasTensor(answers, self.compute_dtype),
            keras.KerasTensor(boxes, "float32"),
        ]
        if kwargs.get("return_attention_scores"):
            lead, pixels = answers[:2], memory.shape[1]
            shape = (*lead, self.block.num_heads, answers[2], pixels)
            outputs.append(keras.KerasTensor(shape, self.compute_dtype))
        return tuple(outputs)


def _ring(shape, dtype=None):
    """Half a box away from its center, each head in another direction."""
    angles = np.arange(shape[0]) * (2 * math.pi / shape[0])
    ring = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return ops.convert_to_tensor(ring, dtype=dtype)


def _logit(x):
    x = ops.clip(x, CLOSEST, 1 - CLOSEST)
    return ops.log(x) - ops.log(1.0 - x)
