import keras

from keras_vtr.layers.arguments import check_positive_int


@keras.saving.register_keras_serializable(package="keras_vtr")
class PadToMultiple(keras.layers.Layer):
    """Pads images below and on the right, up to sides that patches divide.

    With zeros, as Carion et al. 2020 (DETR), section 4, "Technical details",
    pad the images of a batch; in a padding mask zeros are False.

    Args:
        multiple: The sides of the output are multiples of it.

    Call arguments:
        images: (B, height, width, C), or a padding mask, (B, height, width).

    Returns:
        (B, height', width', C), or (B, height', width').

    Raises:
        ValueError: If `multiple` is no integer above 0, or the input has
            another rank.

    Example:

    >>> layer = keras_vtr.layers.PadToMultiple(16)
    >>> print(tuple(layer(keras.ops.ones((1, 33, 16, 3))).shape))
    (1, 48, 16, 3)
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("multiple", multiple)
        self.multiple = multiple

    def build(self, images_shape):
        if len(images_shape) not in (3, 4):
            raise ValueError(
                "`images` must have the shape (B, height, width, C), or a "
                "padding mask (B, height, width). Received: images.shape="
                f"{tuple(images_shape)}"
            )

    def call(self, images):
        height, width = keras.ops.shape(images)[1:3]
        more = [(0, -side % self.multiple) for side in (height, width)]
        rest = [(0, 0)] * (len(images.shape) - 3)
        return keras.ops.pad(images, [(0, 0), *more, *rest])

    def compute_output_spec(self, images):
        batch_size, *sides = images.shape[:3]
        sides = [x and x + -x % self.multiple for x in sides]
        shape = (batch_size, *sides, *images.shape[3:])
        is_float = keras.backend.is_float_dtype(images.dtype)
        dtype = self.compute_dtype if is_float else images.dtype
        return keras.KerasTensor(shape, dtype)

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}
