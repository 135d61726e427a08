import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class StochasticDepth(keras.layers.Layer):
    """Drops the complete residual branch of some images in training.

    Huang et al. 2016, section 3, equation 2. A branch is dropped with
    probability `rate` and else divided by `1 - rate`; inference changes
    nothing, as with dropout. The paper and TensorFlow Addons instead multiply
    the branch by `1 - rate` in inference, and decide once for all images of a
    batch. Their layer equals this one on a branch that was multiplied by
    `1 - rate`.

    Args:
        rate: Probability that a branch is dropped.
        seed: Optional integer.

    Call arguments:
        branch: (B, ...), the summand of a residual.

    Returns:
        As `branch`.

    Raises:
        ValueError: If `rate` is not in [0, 1).

    Example:

    >>> layer = keras_vtr.layers.StochasticDepth(0.5)
    >>> branch = layer(keras.ops.ones((100, 5, 8)), training=True)
    >>> print(np.unique(branch))
    [0. 2.]
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_fraction("rate", rate)
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True  # There is nothing to build.

    def call(self, branch, training=False):
        if not training or self.rate == 0:
            return branch
        shape = (keras.ops.shape(branch)[0], *[1] * (len(branch.shape) - 1))
        return keras.random.dropout(
            branch, self.rate, noise_shape=shape, seed=self.seed_generator
        )

    def compute_output_shape(self, branch_shape):
        return branch_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vtr")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel of a residual branch by a learned number.

    Touvron et al. 2021 (CaiT), section 2, equation 4. With small initial
    values a deep network starts near the identity.

    Args:
        initial_value: Of all factors. CaiT uses 0.1 to 1e-6, depending on
            depth.

    Call arguments:
        branch: (..., D).

    Returns:
        As `branch`.

    Raises:
        ValueError: If `initial_value` is not above 0, or D is unknown.

    Example:

    >>> branch = keras_vtr.layers.LayerScale(0.25)(keras.ops.ones((2, 3)))
    >>> print(float(branch[0, 0]))
    0.25
    """

    def __init__(self, initial_value=1e-5, **kwargs):
        super().__init__(**kwargs)
        check_positive("initial_value", initial_value)
        self.initial_value = initial_value

    def build(self, branch_shape):
        check_static("branch", branch_shape, -1, "width D")
        self.scale = self.add_weight(
            shape=(branch_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_value),
            name="scale",
        )

    def call(self, branch):
        return branch * keras.ops.cast(self.scale, branch.dtype)

    def get_config(self):
        return {**super().get_config(), "initial_value": self.initial_value}
