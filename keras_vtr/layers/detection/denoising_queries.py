import keras
from keras import ops

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import build_sublayer


@keras.saving.register_keras_serializable(package="keras_vtr")
class DenoisingQueries(keras.layers.Layer):
    """Turns the true objects into noised queries, for training only.

    Li et al. 2022 (DN-DETR), sections 3.3 to 3.5: the decoder also learns to
    remove the noise from noised boxes and labels. Their objects are known, so
    their loss needs no matching, which is unstable early in training. There are
    several groups, each with its own noise.

    The method includes an attention mask: a group attends to itself and to the
    object queries, but not to another group, and no object query attends to
    noised objects (without this, the paper's AP falls from 43.4 to 24.0); see
    `keras_vtr.models.add_denoising`. As in the paper, a box moves by less than
    half its size, and labels are replaced by random ones.

    Args:
        num_groups: G.
        num_classes: K.
        hidden_dim: Width D of the queries.
        box_noise: Largest move of a center, relative to half of the box's
            sides, and largest relative change of a side, in [0, 1).
        label_noise: Fraction of labels that are replaced, in [0, 1).
        seed: Optional integer, for the noise.

    Call arguments:
        boxes: (B, M, 4), the true boxes, `rel_center_xywh`.
        labels: (B, M) int, 0..K-1, -1 for padding.

    Returns:
        Queries (B, G * M, D), embeddings of the noised labels; noised boxes
        (B, G * M, 4); and the attention mask among them (B, G * M, G * M) bool,
        True where a query may attend to another one.

    Raises:
        ValueError: If an argument is out of its range, or M is unknown.

    Example:

    >>> boxes = keras.ops.ones((2, 3, 4))
    >>> labels = keras.ops.array([[1, 2, -1], [7, -1, -1]])
    >>> layer = keras_vtr.layers.DenoisingQueries(5, 10, hidden_dim=8)
    >>> print([tuple(x.shape) for x in layer(boxes, labels)])
    [(2, 15, 8), (2, 15, 4), (2, 15, 15)]
    """

    def __init__(
        self,
        num_groups,
        num_classes,
        hidden_dim,
        box_noise=0.4,
        label_noise=0.2,
        seed=None,
        **kwargs,
    ):
        # In float32: half precision is too coarse for boxes.
        super().__init__(autocast=False, **kwargs)
        check_positive_int("num_groups", num_groups)
        check_positive_int("num_classes", num_classes)
        check_positive_int("hidden_dim", hidden_dim)
        check_fraction("box_noise", box_noise)
        check_fraction("label_noise", label_noise)
        self.num_groups = num_groups
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.box_noise = box_noise
        self.label_noise = label_noise
        self.seed = seed
        self.noise = keras.random.SeedGenerator(seed)

    def build(self, boxes_shape, labels_shape):
        check_rank("boxes", boxes_shape, ("B", "M", "4"))
        check_rank("labels", labels_shape, ("B", "M"))
        check_static("labels", labels_shape, 1, "number of targets M")
        self.embedding = build_sublayer(
            self,
            "label_embedding",
            keras.layers.Embedding,
            labels_shape,
            input_dim=self.num_classes,
            output_dim=self.hidden_dim,
        )

    def call(self, boxes, labels):
        num_targets = labels.shape[1]
        boxes = ops.tile(ops.cast(boxes, "float32"), (1, self.num_groups, 1))
        labels = ops.tile(ops.cast(labels, "int32"), (1, self.num_groups))
        is_target = labels >= 0
        boxes = self._add_box_noise(boxes)
        labels = self._add_label_noise(ops.maximum(labels, 0))
        mask = self._attention_mask(num_targets, is_target)
        return self.embedding(labels), boxes, mask

    def _add_box_noise(self, boxes):
        noise = self.box_noise * keras.random.uniform(
            ops.shape(boxes), -1.0, 1.0, dtype="float32", seed=self.noise
        )
        centers, sides = boxes[..., :2], boxes[..., 2:]
        centers = centers + noise[..., :2] * sides / 2
        sides = sides * (1.0 + noise[..., 2:])
        return ops.clip(ops.concatenate([centers, sides], axis=-1), 0.0, 1.0)

    def _add_label_noise(self, labels):
        shape = ops.shape(labels)
        chance = keras.random.uniform(shape, dtype="float32", seed=self.noise)
        other = keras.random.uniform(
            shape, 0.0, self.num_classes, dtype="float32", seed=self.noise
        )
        other = ops.minimum(ops.cast(other, "int32"), self.num_classes - 1)
        return ops.where(chance < self.label_noise, other, labels)

    def _attention_mask(self, num_targets, is_target):
        """(B, G * M, G * M): whether row may attend to column."""
        group = ops.repeat(ops.arange(self.num_groups), num_targets)
        allowed = ops.equal(group[:, None], group[None, :])
        return ops.logical_and(allowed[None], is_target[:, None])

    def compute_output_spec(self, boxes, labels):
        batch_size, num_targets = labels.shape
        shape = (batch_size, self.num_groups * num_targets)
        return (
            keras.KerasTensor((*shape, self.hidden_dim), self.compute_dtype),
            keras.KerasTensor((*shape, 4), "float32"),
            keras.KerasTensor((*shape, shape[1]), "bool"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "num_classes": self.num_classes,
            "hidden_dim": self.hidden_dim,
            "box_noise": self.box_noise,
            "label_noise": self.label_noise,
            "seed": self.seed,
        }
