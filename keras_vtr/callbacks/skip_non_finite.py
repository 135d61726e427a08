import keras
import numpy as np

from keras_vtr.callbacks.skipping_optimizer import COUNTS
from keras_vtr.callbacks.skipping_optimizer import restore_optimizer
from keras_vtr.callbacks.skipping_optimizer import wrap_optimizer
from keras_vtr.callbacks.steps import EpochSteps


class NonFiniteError(Exception):
    """Training produced NaN or infinity too often to continue."""


class SkipNonFinite(keras.callbacks.Callback):
    """Skips steps with non-finite gradients, and ends the run after many.

    One such step makes all weights NaN, since clipping by the global norm
    spreads a NaN to every gradient; `keras.callbacks.TerminateOnNaN` acts only
    after that. Here the step changes no weight: during `fit` a subclass of
    Keras's `LossScaleOptimizer`, with a scale of 1, wraps the optimizer. If
    the optimizer has a loss scale already (mixed precision in float16), the
    scale is kept, and the steps that it skips until it has settled are counted
    like all others. The wrapper counts single steps with any
    `steps_per_execution`. With `tf.distribute` it skips a step if the
    gradients of any replica are not finite.

    Args:
        most: Number of skipped steps in a row that ends the run.
        images: Optional function from the number of a step to the names of its
            images, for the error message, such as `functools.partial(
            keras_vtr.data.batch_paths, data, 16)`.

    Raises:
        NonFiniteError: At the `most`-th skipped step in a row, after which no
            step changes the weights; or at once if statistics (of batch
            normalization) have become NaN, which no optimizer can prevent.
        ValueError: If `most` is below 1.

    Example:

    >>> guard = keras_vtr.callbacks.SkipNonFinite(most=5)
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((3, 2)), np.array([[1], [np.nan], [1]])
    >>> history = model.fit(
    ...     x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[guard]
    ... )
    >>> print(guard.num_skipped, np.isfinite(model.get_weights()[0]).all())
    1 True
    """

    def __init__(self, most=10, images=None):
        super().__init__()
        if most < 1:
            raise ValueError(f"`most` must be 1 or more. Received: most={most}")
        self.most = most
        self.images = images
        self.num_skipped = 0

    def set_model(self, model):  # Keras builds the train step after it.
        super().set_model(model)
        wrap_optimizer(model, self.most)

    def on_train_begin(self, logs=None):
        self._counted = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._steps = EpochSteps(self)
        self._means = {}

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        counts = keras.ops.convert_to_numpy(optimizer.counts).tolist()
        counts = dict(zip(COUNTS, counts, strict=True))
        is_skipped = counts["skipped"] != self._counted
        self._update_means(is_skipped)
        if not is_skipped:
            return
        self.num_skipped += counts["skipped"] - self._counted
        self._counted = counts["skipped"]
        optimizer.reset_scale()
        steps = self._steps.done(batch)
        self._check_statistics(steps)
        if counts["in_a_row"] >= self.most:
            self._raise(
                steps - counts["steps"] + counts["last_skipped"],
                f"{self.most} steps in a row had gradients that are not "
                "finite; none of them changed the weights. Check the images, "
                "or lower the learning rate",
            )

    def on_train_end(self, logs=None):
        restore_optimizer(self.model)

    def _check_statistics(self, steps):
        for variable in self.model.non_trainable_variables:
            value = keras.ops.convert_to_numpy(variable)
            if not np.isfinite(value.astype("float64")).all():
                self._raise(
                    steps,
                    f"{variable.path} has become NaN or infinite. Resume from "
                    "a checkpoint",
                )

    def _update_means(self, is_skipped):
        """Keeps the metrics, or restores them after a skipped step.

        Its loss may be finite: a compiled `relu` returns 0 for NaN on some
        processors (TensorFlow 2.21 with AVX-512).
        """
        for metric in self.model.metrics:
            values = [keras.ops.convert_to_numpy(x) for x in metric.variables]
            is_finite = all(np.isfinite(value).all() for value in values)
            if is_finite and not is_skipped:
                self._means[metric] = values
            elif metric in self._means:
                kept = self._means[metric]
                for x, value in zip(metric.variables, kept, strict=True):
                    x.assign(value)
            else:
                metric.reset_state()

    def _raise(self, steps, reason):
        names = ""
        if self.images is not None and self.params.get("steps"):
            step = self._epoch * self.params["steps"] + steps - 1
            names = f" The images of this step: {list(self.images(step))}"
        raise NonFiniteError(
            f"Epoch {self._epoch + 1}, step {steps}: {reason}.{names}"
        )
