import keras
from keras.layers import Conv2D

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import require_sides
from keras_vtr.layers.parts import build_sublayer


@keras.saving.register_keras_serializable(package="keras_vtr")
class PatchEmbedding(keras.layers.Layer):
    """Divides images into square patches and maps each patch to one token.

    Dosovitskiy et al. 2020 (ViT), section 3.1, equation 1: each patch is
    flattened and multiplied by one matrix. This product is computed as a
    convolution whose kernel size and strides are the patch size. With
    `patch_size=1` every pixel of a feature map becomes a token, as in the
    paper's hybrids.

    Args:
        hidden_dim: Width D of a token.
        patch_size: Side of a square patch in pixels.
        flatten: If False, the tokens keep their rows and columns.

    Call arguments:
        images: (B, height, width, C). Height and width must be multiples of
            `patch_size`; either may be unknown until the call.

    Returns:
        (B, N, D) tokens in raster order: left to right, then top to bottom.
        N = (height / patch_size) * (width / patch_size). With `flatten=False`
        (B, height / patch_size, width / patch_size, D).

    Raises:
        ValueError: If the patches don't cover the image exactly, or the input
            isn't a batch of images. If the sides are unknown when a graph is
            traced, the graph raises TensorFlow's `InvalidArgumentError`.

    Example:

    >>> images = keras.ops.ones((2, 32, 48, 3))
    >>> tokens = keras_vtr.layers.PatchEmbedding(8, patch_size=16)(images)
    >>> print(tuple(tokens.shape))
    (2, 6, 8)
    """

    def __init__(self, hidden_dim, patch_size, flatten=True, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("hidden_dim", hidden_dim)
        check_positive_int("patch_size", patch_size)
        self.hidden_dim = hidden_dim
        self.patch_size = patch_size
        self.flatten = flatten

    def build(self, images_shape):
        check_rank("images", images_shape, ("B", "height", "width", "C"))
        self._check_divisible(images_shape)
        self.projection = build_sublayer(
            self,
            "projection",
            Conv2D,
            images_shape,
            filters=self.hidden_dim,
            kernel_size=self.patch_size,
            strides=self.patch_size,
            data_format="channels_last",
        )

    def call(self, images):
        self._check_divisible(images.shape)
        images = require_sides(
            images,
            [
                side // self.patch_size * self.patch_size
                for side in keras.ops.shape(images)[1:3]
            ],
            "height_and_width_must_be_multiples_of_patch_size",
        )
        patches = self.projection(images)  # (B, rows, columns, D)
        if not self.flatten:
            return patches
        _, length, hidden_dim = self.compute_output_shape(images.shape)
        batch_size = keras.ops.shape(images)[0]
        length = -1 if length is None else length
        return keras.ops.reshape(patches, (batch_size, length, hidden_dim))

    def compute_output_shape(self, images_shape):
        batch_size, *sides, _ = images_shape
        grid = [side and side // self.patch_size for side in sides]
        if not self.flatten:
            return (batch_size, *grid, self.hidden_dim)
        num_patches = None if None in grid else grid[0] * grid[1]
        return (batch_size, num_patches, self.hidden_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "patch_size": self.patch_size,
            "flatten": self.flatten,
        }

    def _check_divisible(self, images_shape):
        sides = images_shape[1:3]
        if all(side is None or side % self.patch_size == 0 for side in sides):
            return
        nearest = " x ".join(
            "any" if side is None else str(self._nearest(side))
            for side in sides
        )
        raise ValueError(
            "Height and width of `images` must be multiples of `patch_size`. "
            f"Received: images.shape={tuple(images_shape)}, "
            f"patch_size={self.patch_size}. Resize or pad the images; the "
            f"nearest size that fits is {nearest}."
        )

    def _nearest(self, side):
        """The nearest positive multiple of `patch_size`."""
        half = self.patch_size // 2
        return max((side + half) // self.patch_size, 1) * self.patch_size
