import keras
from keras import ops

from keras_vtr.layers.detection.anchor_queries import BoxEncoding
from keras_vtr.layers.detection.box_attention_bias import AnchorAttentionBias
from keras_vtr.layers.detection.box_attention_bias import BoxBias
from keras_vtr.layers.detection.box_refinement import BoxRefinement
from keras_vtr.layers.detection.box_refinement import LogitRefinement
from keras_vtr.layers.detection.box_refinement import build_move_head
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorDecoder(Stack):
    """Turns queries with boxes into answers and moved boxes, layer by layer.

    Liu et al. 2022 (DAB-DETR), section 4.3, with the blocks of
    `TransformerDecoder`. Before each block, the box gives the query's position
    (`BoxEncoding`) and the bias of cross attention, or the box itself goes to
    a cross attention that takes it, such as `DeformableAttention`. After the
    block, a head predicts from the answer how the box moves. Gradients don't
    flow from a layer's box to the next layer.

    Args:
        block: A `TransformerDecoderBlock`, or your own layer with the same
            call arguments and with `num_heads`; with `takes_boxes`, if it takes
            `boxes` and `centers` instead of `attention_bias`. Each layer of the
            decoder is a copy of it, as in `TransformerDecoder`.
        num_layers: L, the number of copies.
        norm: The norm of each returned answer. Default: the block's norm if
            the block has `normalize_first`; no norm for other blocks.
        attention_bias: The bias of cross attention; each layer has a copy.
            Default: `AnchorAttentionBias`, or none for a block that takes
            boxes; another one is `BoxPositionBias`.
        box_refinement: How a box moves. Default: `LogitRefinement()`; another
            one is `RelativeRefinement()`.
        look_forward_twice: Whether the loss of a layer's box also trains the
            layer before it, which the box started from (Zhang et al. 2022,
            "DINO", section 3.5).
        iterative_refinement: Whether a layer starts from the box of the layer
            before it. If False, all layers start from the anchors, whose
            positions are computed once (Robinson et al. 2025, RF-DETR).

    Call arguments:
        queries: (B, Q, D), the content of the queries, such as zeros.
        anchors: (B, Q, 4), `rel_center_xywh`, such as from `AnchorQueries`.
        memory: (B, height * width, ...), the encoder's output.
        centers: Of the memory's columns (B, width) and rows (B, height), from
            `AxisCenters`.
        memory_positions: Optional, as `memory`, for the keys of cross
            attention, in each layer.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.
        query_mask: Optional (B, Q, Q) or (1, Q, Q) bool, True where a query
            may attend to another one in self attention.
        num_groups: Optional number of groups of queries that don't attend to
            each other, as in `TransformerDecoderBlock`.
        return_attention_scores: If True, also return the weights of cross
            attention.

    Returns:
        Answers (B, L, Q, D); boxes (B, L, Q, 4), `rel_center_xywh`, float32;
        and the boxes that each layer started from, likewise, without gradient;
        of every layer, last layer last; and with `return_attention_scores` the
        weights (B, L, H, Q, N).

    Raises:
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.zeros((2, 5, 8)), keras.ops.ones((2, 6, 8))
    >>> anchors = keras.ops.ones((2, 5, 4))
    >>> centers = keras.ops.ones((2, 3)), keras.ops.ones((2, 2))
    >>> block = keras_vtr.layers.TransformerDecoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> decoder = keras_vtr.layers.AnchorDecoder(block, num_layers=3)
    >>> answers, boxes, _ = decoder(queries, anchors, memory, centers)
    >>> print(tuple(answers.shape), tuple(boxes.shape))
    (2, 3, 5, 8) (2, 3, 5, 4)
    """

    PARTS = ("block", "norm", "attention_bias", "box_refinement")

    def __init__(
        self,
        block,
        num_layers,
        *,
        norm=None,
        attention_bias=None,
        box_refinement=None,
        look_forward_twice=False,
        iterative_refinement=True,
        **kwargs,
    ):
        # Boxes and centers stay float32: float16 is too coarse for them.
        super().__init__(block, num_layers, norm=norm, autocast=False, **kwargs)
        if not hasattr(block, "num_heads"):
            raise ValueError(
                "`block` must have `num_heads`, the number of heads of "
                f"`attention_bias`. Received: block={block!r}"
            )
        self.takes_boxes = getattr(block, "takes_boxes", False)
        if attention_bias is None and not self.takes_boxes:
            attention_bias = AnchorAttentionBias(block.num_heads)
        set_part(self, "attention_bias", attention_bias, BoxBias, optional=True)
        self._check_bias()
        if box_refinement is None:
            box_refinement = LogitRefinement()
        set_part(self, "box_refinement", box_refinement, BoxRefinement)
        self.look_forward_twice = look_forward_twice
        self.iterative_refinement = iterative_refinement

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
                self.attention_bias,
                anchors_shape,
                centers_shape,
            )
            for i in range(0 if self.takes_boxes else self.num_layers)
        ]
        self.box_head = build_move_head(self, queries_shape)
        self.refinement = build_sublayer(
            self,
            "box_refinement",
            self.box_refinement,
            anchors_shape,
            anchors_shape,
        )

    def call(
        self,
        queries,
        anchors,
        memory,
        centers,
        memory_positions=None,
        padding_mask=None,
        query_mask=None,
        num_groups=None,
        return_attention_scores=False,
        training=None,
    ):
        answers, boxes, references, every_score = [], [], [], []
        reference = before = ops.cast(anchors, "float32")
        options = given(
            memory_positions=memory_positions,
            padding_mask=padding_mask,
            query_mask=query_mask,
            num_groups=num_groups,
            return_attention_scores=return_attention_scores,
        )
        positions = self.encoding(reference)
        for i, block in enumerate(self.blocks):
            options |= self._around_boxes(i, reference, centers)
            options["query_positions"] = positions
            queries, scores = self._call_block(
                block, queries, memory, **options
            )
            answer = self._normalize(queries)
            moves = answer
            for layer in self.box_head:
                moves = layer(moves)
            moved = self.refinement(reference, moves)
            if self.look_forward_twice:  # the same box, by another way
                boxes.append(self.refinement(before, moves))
            else:
                boxes.append(moved)
            answers.append(answer)
            references.append(ops.stop_gradient(reference))
            every_score.append(scores)
            if self.iterative_refinement and i + 1 < self.num_layers:
                reference, before = ops.stop_gradient(moved), moved
                positions = self.encoding(reference)
        lists = [answers, boxes, references]
        if return_attention_scores:
            lists.append(every_score)
        return tuple(ops.stack(x, axis=1) for x in lists)

    def _around_boxes(self, number, boxes, centers):
        """What tells the cross attention of a block where the boxes are."""
        if self.takes_boxes:
            return {"boxes": boxes, "centers": centers}
        return {"attention_bias": self.biases[number](boxes, centers)}

    def _check_bias(self):
        bias, block = self.attention_bias, self.block
        if bias is None:
            return
        if self.takes_boxes:
            raise ValueError(
                "`attention_bias` must be None for a block whose cross "
                "attention takes the boxes themselves. Received: "
                f"attention_bias={bias!r}, block={block!r}"
            )
        if bias.num_heads != block.num_heads:
            raise ValueError(
                "`attention_bias` must have as many heads as `block`. "
                f"Received: attention_bias.num_heads={bias.num_heads}, "
                f"block.num_heads={block.num_heads}"
            )

    def compute_output_shape(
        self, queries_shape, anchors_shape, memory_shape, centers_shape
    ):
        batch_size, num_queries, hidden_dim = queries_shape
        lead = (batch_size, self.num_layers, num_queries)
        return (*lead, hidden_dim), (*lead, 4), (*lead, 4)

    def compute_output_spec(self, queries, anchors, memory, centers, **kwargs):
        answers, boxes, references = self.compute_output_shape(
            queries.shape, anchors.shape, memory.shape, None
        )
        outputs = [
            keras.KerasTensor(answers, self.compute_dtype),
            keras.KerasTensor(boxes, "float32"),
            keras.KerasTensor(references, "float32"),
        ]
        if kwargs.get("return_attention_scores"):
            lead, pixels = answers[:2], memory.shape[1]
            shape = (*lead, self.block.num_heads, answers[2], pixels)
            outputs.append(keras.KerasTensor(shape, self.compute_dtype))
        return tuple(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "look_forward_twice": self.look_forward_twice,
            "iterative_refinement": self.iterative_refinement,
        }
