import math

import keras
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.positions.encoding import sine_waves


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorQueries(keras.layers.Layer):
    """Returns learned boxes, the same for every image of a batch.

    Liu et al. 2022 (DAB-DETR), section 4.2: a query is a box, which can be
    interpreted, instead of a learned vector (`ObjectQueries`). `AnchorDecoder`
    computes the query's position encoding from the box, and each decoder layer
    moves the box. The initial centers cover the image.

    Args:
        num_queries: Q, the largest number of objects in one image.

    Call arguments:
        memory: (B, N, D), the encoder's output. Only its shape is read.

    Returns:
        (B, Q, 4) boxes, `rel_center_xywh` in (0, 1), float32.

    Raises:
        ValueError: If `num_queries` is not a positive integer.

    Example:

    >>> memory = keras.ops.ones((2, 15, 8))
    >>> print(tuple(keras_vtr.layers.AnchorQueries(10)(memory).shape))
    (2, 10, 4)
    """

    def __init__(self, num_queries, **kwargs):
        # In float32: half precision is too coarse for boxes.
        super().__init__(autocast=False, **kwargs)
        check_positive_int("num_queries", num_queries)
        self.num_queries = num_queries

    def build(self, memory_shape):
        check_rank("memory", memory_shape, ("B", "N", "D"))
        self.anchors = self.add_weight(
            shape=(1, self.num_queries, 4),
            initializer=keras.initializers.RandomUniform(-1.5, 1.5),
            name="anchors",
        )

    def call(self, memory):
        shape = (ops.shape(memory)[0], self.num_queries, 4)
        anchors = ops.sigmoid(ops.cast(self.anchors, "float32"))
        return ops.broadcast_to(anchors, shape)

    def compute_output_spec(self, memory):
        shape = (memory.shape[0], self.num_queries, 4)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return {**super().get_config(), "num_queries": self.num_queries}


@keras.saving.register_keras_serializable(package="keras_vtr")
class BoxEncoding(keras.layers.Layer):
    """Computes the position encoding of each query from its box.

    Liu et al. 2022 (DAB-DETR), section 4.2, equation 6: sines and cosines of
    the four numbers, with the wavelengths of `SinePositionEncoding2D`, then
    two dense layers.

    Args:
        hidden_dim: Width D of the encodings, a multiple of 4.
        temperature: Ratio of the longest wavelength to the shortest one.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.

    Returns:
        (B, Q, D).

    Raises:
        ValueError: If D is not a multiple of 4 or a shape doesn't fit.

    Example:

    >>> boxes = keras.ops.ones((2, 5, 4))
    >>> print(tuple(keras_vtr.layers.BoxEncoding(hidden_dim=8)(boxes).shape))
    (2, 5, 8)
    """

    def __init__(self, hidden_dim, temperature=10000, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_positive_int("hidden_dim", hidden_dim)
        check_positive("temperature", temperature)
        if hidden_dim % 4:
            raise ValueError(
                "`hidden_dim` must be a multiple of 4. Received: "
                f"hidden_dim={hidden_dim}"
            )
        self.hidden_dim = hidden_dim
        self.temperature = temperature

    def build(self, boxes_shape):
        check_rank("boxes", boxes_shape, ("B", "Q", "4"))
        check_static("boxes", boxes_shape, -1, "number of coordinates")
        units = self.hidden_dim
        shape, inner = (*boxes_shape[:2], 2 * units), (*boxes_shape[:2], units)
        relu = {"units": units, "activation": "relu"}
        self.inner_projection = build_sublayer(
            self, "inner_projection", Dense, shape, **relu
        )
        self.output_projection = build_sublayer(
            self, "output_projection", Dense, inner, units=units
        )

    def call(self, boxes):
        angles = ops.cast(boxes, "float32") * (2 * math.pi)
        waves = sine_waves(angles, self.hidden_dim // 2, self.temperature)
        shape = (*ops.shape(boxes)[:2], 2 * self.hidden_dim)
        waves = ops.cast(ops.reshape(waves, shape), self.compute_dtype)
        return self.output_projection(self.inner_projection(waves))

    def compute_output_shape(self, boxes_shape):
        return (*boxes_shape[:-1], self.hidden_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "temperature": self.temperature,
        }
