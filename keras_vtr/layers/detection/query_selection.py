import keras
from keras import ops
from keras.layers import Dense
from keras.layers import LayerNormalization

from keras_vtr.classifiers import CLASSIFIERS
from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.detection.box_refinement import BoxRefinement
from keras_vtr.layers.detection.box_refinement import RelativeRefinement
from keras_vtr.layers.detection.box_refinement import build_move_head
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.tokens.class_head import ClassHead

LEAST = -1e30  # the score of a padded token


@keras.saving.register_keras_serializable(package="keras_vtr")
class QuerySelection(LayerWithParts):
    """Selects the tokens that look most like an object, and returns their box.

    Zhu et al. 2020 (Deformable DETR), section 4.2, "two-stage": each token of
    the encoder proposes a class and a box, which starts as a small one around
    the token's pixel; the boxes of the best tokens become the decoder's
    anchors, instead of the learned `AnchorQueries`. The contents of the queries
    are learned, as in the "mixed query selection" of Zhang et al. 2022 (DINO),
    section 3.4. The selected classes and boxes are trained like those of a
    decoder layer.

    Args:
        num_queries: Q, the number of tokens selected.
        num_classes: K.
        classifier: "sigmoid" or "softmax", as in `build_detr`.
        box_refinement: How a token moves its box. Default:
            `RelativeRefinement()`.
        side: Of the boxes that tokens start from, relative to the image.
        margin: Tokens whose center is so near to an edge of the image, or
            nearer, are not selected; 0.01 in the authors' code.
        learned_moves: Whether each anchor is moved by a learned number for
            each coordinate, as in Robinson et al. 2025 (RF-DETR). It starts
            with no move.

    Call arguments:
        memory: (B, height * width, D), the encoder's output.
        centers: Of its columns (B, width) and rows (B, height), from
            `AxisCenters`.
        padding_mask: Optional (B, height * width) bool, True = real. Padded
            tokens are not selected.

    Where an image has fewer real tokens than Q, the best one is selected again,
    so that no query depends on padding.

    Returns:
        Anchors (B, Q, 4), `rel_center_xywh`, without gradient but for that of
        the learned moves; and for the loss the selected logits (B, Q, K), or
        (B, Q, K + 1) for "softmax", boxes (B, Q, 4) and the boxes that they
        started from, likewise; float32.

    Raises:
        ValueError: If a number is out of its range, a part is not a layer of
            its kind, or it is built for fewer tokens than Q.

    Example:

    >>> memory = keras.ops.ones((2, 6, 8))
    >>> centers = keras.ops.ones((2, 3)), keras.ops.ones((2, 2))
    >>> layer = keras_vtr.layers.QuerySelection(num_queries=5, num_classes=3)
    >>> print([tuple(x.shape) for x in layer(memory, centers)])
    [(2, 5, 4), (2, 5, 3), (2, 5, 4), (2, 5, 4)]
    """

    PARTS = ("box_refinement",)

    def __init__(
        self,
        num_queries,
        num_classes,
        classifier="sigmoid",
        *,
        box_refinement=None,
        side=0.05,
        margin=0.0,
        learned_moves=False,
        **kwargs,
    ):
        # In float32: half precision is too coarse for boxes.
        super().__init__(autocast=False, **kwargs)
        check_positive_int("num_queries", num_queries)
        check_positive_int("num_classes", num_classes)
        check_positive("side", side)
        check_fraction("margin", margin)
        check_choice("classifier", classifier, sorted(CLASSIFIERS))
        if box_refinement is None:
            box_refinement = RelativeRefinement()
        set_part(self, "box_refinement", box_refinement, BoxRefinement)
        self.num_queries = num_queries
        self.num_classes = num_classes
        self.classifier = classifier
        self.side = side
        self.margin = margin
        self.learned_moves = learned_moves

    def build(self, memory_shape, centers_shape):
        check_rank("memory", memory_shape, ("B", "N", "D"))
        self._check_tokens(memory_shape[1])
        classifier = CLASSIFIERS[self.classifier]
        self.projection = build_sublayer(
            self, "projection", Dense, memory_shape, units=memory_shape[-1]
        )
        self.norm = build_sublayer(
            self, "norm", LayerNormalization, memory_shape, epsilon=1e-5
        )
        self.class_head = build_sublayer(
            self,
            "class_head",
            ClassHead,
            memory_shape,
            units=classifier.num_logits(self.num_classes),
            bias_initializer=classifier.bias_initializer(),
            dtype="float32",
        )
        self.box_head = build_move_head(self, memory_shape)
        boxes_shape = (*memory_shape[:2], 4)
        self.refinement = build_sublayer(
            self,
            "box_refinement",
            self.box_refinement,
            boxes_shape,
            boxes_shape,
        )
        self.moves = None
        if self.learned_moves:
            shape = (1, self.num_queries, 4)
            self.moves = self.add_weight(
                shape=shape, initializer="zeros", name="moves"
            )

    def call(self, memory, centers, padding_mask=None):
        tokens = self.norm(self.projection(memory))
        logits = self.class_head(tokens)  # (B, N, K)
        moves = tokens
        for layer in self.box_head:
            moves = layer(moves)
        references = self._references(*centers)  # (B, N, 4)
        boxes = self.refinement(references, moves)
        probabilities = CLASSIFIERS[self.classifier].probabilities(logits)
        scores = ops.max(probabilities, axis=-1)
        if padding_mask is not None:
            scores = ops.where(padding_mask, scores, LEAST)
        if self.margin:
            distance = ops.minimum(references, 1 - references)[..., :2]
            is_inside = ops.all(distance > self.margin, axis=-1)
            scores = ops.where(is_inside, scores, LEAST)
        best = self._best(scores)[..., None]  # (B, Q, 1)
        logits, boxes, references = (
            ops.take_along_axis(x, best, axis=1)
            for x in (logits, boxes, references)
        )
        anchors = ops.stop_gradient(boxes)
        if self.moves is not None:
            moves = ops.broadcast_to(self.moves, ops.shape(anchors))
            anchors = self.refinement(anchors, moves)
        return anchors, logits, boxes, references

    def _best(self, scores):
        """The numbers of the tokens with the highest scores, (B, Q)."""
        num_tokens = scores.shape[1]  # unknown, or not known to `build`
        if not isinstance(num_tokens, int) or num_tokens < self.num_queries:
            more = ((0, 0), (0, self.num_queries))
            scores = ops.pad(scores, more, constant_values=LEAST)
        scores, best = ops.top_k(scores, self.num_queries)
        best = ops.cast(best, "int32")
        return ops.where(scores > LEAST, best, best[:, :1])

    def _check_tokens(self, num_tokens):
        if isinstance(num_tokens, int) and num_tokens < self.num_queries:
            raise ValueError(
                "`num_queries` must not be more than the tokens that queries "
                f"are selected from. Received: num_queries={self.num_queries}, "
                f"{num_tokens} tokens. Use fewer queries, or a backbone with a "
                "finer feature map."
            )

    def _references(self, x, y):
        """The boxes that tokens start from, in the order of the tokens."""
        x, y = (ops.cast(center, "float32") for center in (x, y))
        x = ops.broadcast_to(x[:, None], (*ops.shape(y), ops.shape(x)[1]))
        y = ops.broadcast_to(y[:, :, None], ops.shape(x))
        sides = ops.full_like(x, self.side)
        boxes = ops.stack([x, y, sides, sides], axis=-1)
        return ops.reshape(boxes, (ops.shape(boxes)[0], -1, 4))

    def compute_output_spec(self, memory, centers, padding_mask=None):
        num_logits = CLASSIFIERS[self.classifier].num_logits(self.num_classes)
        return tuple(
            keras.KerasTensor(
                (memory.shape[0], self.num_queries, width), "float32"
            )
            for width in (4, num_logits, 4, 4)
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_queries": self.num_queries,
            "num_classes": self.num_classes,
            "classifier": self.classifier,
            "side": self.side,
            "margin": self.margin,
            "learned_moves": self.learned_moves,
        }
