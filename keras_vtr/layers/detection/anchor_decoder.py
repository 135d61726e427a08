import math

import keras
import numpy as np
from keras import ops

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.detection.anchor_queries import BoxEncoding
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given

# Boxes smaller than this are looked at as if they had this size, and logits of
# coordinates are taken no closer than this to 0 and 1.
SMALLEST = 0.05
CLOSEST = 1e-3


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorAttentionBias(keras.layers.Layer):
    """Makes each head of cross attention look at its own part of a box.

    Gao et al. 2021 (SMCA), section 3.2, equations 4 and 5: the logarithm of a
    Gaussian is added to the logits. Its middle and width are learned for each
    head in units of the box, as Liu et al. 2022 (DAB-DETR), section 4.4,
    modulate by width and height; there the content predicts them, here they
    are weights. At the start the heads look in a ring around the middle.

    Args:
        num_heads: H.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        centers: (B, N, 2), of the pixels, from `PixelCenters`.

    Returns:
        (B, H, Q, N), 0 where a head looks and negative elsewhere.

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
        middle = boxes[..., :2] + ops.cast(self.offset, "float32") * sides
        width = (ops.abs(ops.cast(self.width, "float32")) + SMALLEST) * sides
        centers = ops.cast(centers, "float32")[:, None, None]  # (B, 1, 1, N, 2)
        distance = (centers - middle[..., None, :]) / width[..., None, :]
        bias = -0.5 * ops.sum(ops.square(distance), axis=-1)  # (B, Q, H, N)
        bias = ops.transpose(bias, (0, 2, 1, 3))
        return ops.cast(bias, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorDecoder(Stack):
    """A decoder whose queries are boxes, which each of its layers moves.

    Liu et al. 2022 (DAB-DETR), section 4.3: the blocks are those of
    `TransformerDecoder`. Before a block a box becomes the query's position
    (`BoxEncoding`) and tells where to look (`AnchorAttentionBias`); after it,
    a head reads from the answer how the box is to move, in logits of its
    coordinates. Gradients don't flow from one layer's box into the next.

    Args:
        block: A `TransformerDecoderBlock`, or a layer of your own that takes
            what that takes and has `num_heads`. Each layer of the decoder is
            a copy of it, as in `TransformerDecoder`.
        num_layers: L, how many.
        norm: The norm of each returned answer. Default: the block's if the
            block has `normalize_first`; none for other blocks.

    Call arguments:
        queries: (B, Q, D), what is known of the objects; zeros if nothing.
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
        ValueError: If a part is no layer or has weights, a number is out of
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
                "`block` must have `num_heads`, since each head looks at its "
                f"own part of a box. Received: block={block!r}"
            )

    def build(self, queries_shape, anchors_shape, memory_shape, centers_shape):
        self._build_stack(queries_shape, memory_shape)
        hidden_dim = queries_shape[-1]
        self.encoding = BoxEncoding(
            hidden_dim, name="box_encoding", dtype=self.dtype_policy
        )
        self.encoding.build(anchors_shape)
        self.biases = []
        for i in range(self.num_layers):
            bias = AnchorAttentionBias(
                self.block.num_heads,
                name=f"attention_bias_{i}",
                dtype=self.dtype_policy,
            )
            bias.build(anchors_shape, centers_shape)
            self.biases.append(bias)
        # At the start boxes hardly move.
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.box_head = [
            self._dense("box_head_0", hidden_dim, hidden_dim, "relu"),
            self._dense("box_head_1", hidden_dim, hidden_dim, "relu"),
            self._dense("box_head_2", hidden_dim, 4, kernel_initializer=small),
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
            queries, scores = self._answers(
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

    def _dense(self, name, before, after, activation=None, **kwargs):
        layer = keras.layers.Dense(
            after,
            activation=activation,
            name=name,
            dtype="float32" if after == 4 else self.dtype_policy,
            **kwargs,
        )
        layer.build((None, None, before))
        return layer


def _ring(shape, dtype=None):
    """Half a box away from the middle, each head in its own direction."""
    angles = np.arange(shape[0]) * (2 * math.pi / shape[0])
    ring = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return ops.convert_to_tensor(ring, dtype=dtype)


def _logit(x):
    x = ops.clip(x, CLOSEST, 1 - CLOSEST)
    return ops.log(x) - ops.log(1.0 - x)
