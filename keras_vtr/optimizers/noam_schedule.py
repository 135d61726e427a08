import keras


@keras.saving.register_keras_serializable(package="keras_vtr")
class NoamSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The Transformer's learning rate: linear warmup, then `step^-0.5`.

    Vaswani et al. 2017, section 5.3, equation 3: `hidden_dim^-0.5 *
    min(step^-0.5, step * warmup_steps^-1.5)`, steps counted from 1. Named
    after Noam Shazeer, as in most code.

    Args:
        hidden_dim: Width D of the model's tokens.
        warmup_steps: Number of steps of the linear warmup.
        scale: A factor on the learning rate.

    Returns:
        On call with a step, counted from 0, a float32 scalar.

    Raises:
        ValueError: If a number is not above 0.

    Example:

    >>> schedule = keras_vtr.optimizers.NoamSchedule(512, warmup_steps=4000)
    >>> print(f"{float(schedule(3999)):.5f}")
    0.00070
    """

    def __init__(self, hidden_dim, warmup_steps=4000, scale=1.0):
        super().__init__()
        if min(hidden_dim, warmup_steps, scale) <= 0:
            raise ValueError(
                "`hidden_dim`, `warmup_steps` and `scale` must be above 0. "
                f"Received: hidden_dim={hidden_dim}, "
                f"warmup_steps={warmup_steps}, scale={scale}"
            )
        self.hidden_dim = hidden_dim
        self.warmup_steps = warmup_steps
        self.scale = scale

    def __call__(self, step):
        step = keras.ops.cast(step, "float32") + 1.0
        rising = step * self.warmup_steps**-1.5
        rate = keras.ops.minimum(keras.ops.rsqrt(step), rising)
        return self.scale * self.hidden_dim**-0.5 * rate

    def get_config(self):
        return {
            "hidden_dim": self.hidden_dim,
            "warmup_steps": self.warmup_steps,
            "scale": self.scale,
        }
