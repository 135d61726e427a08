import functools

import keras
import numpy as np

from keras_vtr.replicas import sum_over_replicas

OWN_NAME = "skip_non_finite"


class NonFiniteError(Exception):
    """Training gave NaN or infinity, again and again."""


class SkipNonFinite(keras.callbacks.Callback):
    """Skips a step whose gradients are not finite, and ends the run at many.

    One such step spoils all weights, since clipping by a global norm spreads a
    NaN to every gradient; `keras.callbacks.TerminateOnNaN` sees it afterwards.
    Here it changes nothing: the optimizer is wrapped, while `fit` runs, into
    Keras's `LossScaleOptimizer`, whose own rule this is, with a scale of 1. If
    it is one already (mixed precision in float16), it stays as it is, and what
    its scale needs to settle is counted like the rest. With `tf.distribute` a
    step is skipped if any replica's gradients are not finite; Keras (3.15.1)
    by itself looks at the first one's.

    Args:
        most: So many skipped steps in a row end the run.
        images: Optional function from the number of a step to the names of its
            images, for the message, such as `functools.partial(
            keras_vtr.data.batch_paths, data, 16)`.

    Raises:
        NonFiniteError: At the `most`-th skipped step in a row; or at once if
            statistics (of batch normalization) have become NaN, which no
            optimizer can prevent.
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

    def set_model(self, model):
        super().set_model(model)
        optimizer = model.optimizer
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            model.optimizer = keras.optimizers.LossScaleOptimizer(
                optimizer,
                initial_scale=1.0,
                dynamic_growth_steps=2**31 - 1,
                name=OWN_NAME,
            )
        # Also one that an earlier `fit`, which raised, has left.
        self._is_own = model.optimizer.name == OWN_NAME
        model.optimizer.check_finite = functools.partial(
            _finite_everywhere, model.optimizer
        )
        model.train_function = None  # made for the other one

    def on_train_begin(self, logs=None):
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self._in_a_row = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        # Not earlier: a later callback may restore it as training begins.
        self._scale = self._dynamic_scale()

    def on_train_batch_end(self, batch, logs=None):
        scale = self._dynamic_scale()
        if scale >= self._scale:
            self._in_a_row, self._scale = 0, scale
            return
        # Halved: the step was skipped.
        self.num_skipped += 1
        self._in_a_row += 1
        if self._is_own:
            self.model.optimizer.dynamic_scale.assign(self._scale)
        else:
            self._scale = scale
        self._check_statistics(batch)
        self._forget_metrics()
        if self._in_a_row >= self.most:
            self._raise(
                batch,
                f"{self._in_a_row} steps in a row had gradients that are not "
                "finite; none of them changed the weights, which are as they "
                "were before. A smaller learning rate may help, or a look at "
                "the images",
            )

    def on_train_end(self, logs=None):
        del self.model.optimizer.check_finite
        if self._is_own:
            self.model.optimizer = self.model.optimizer.inner_optimizer
        self.model.train_function = None

    def _dynamic_scale(self):
        scale = self.model.optimizer.dynamic_scale
        return float(keras.ops.convert_to_numpy(scale))

    def _check_statistics(self, batch):
        for variable in self.model.non_trainable_variables:
            value = keras.ops.convert_to_numpy(variable)
            if not np.isfinite(value.astype("float64")).all():
                self._raise(
                    batch,
                    f"{variable.path} has become NaN or infinite: go on from "
                    "a checkpoint",
                )

    def _forget_metrics(self):
        """A mean that NaN went into starts anew with the next step."""
        for metric in self.model.metrics:
            values = [keras.ops.convert_to_numpy(x) for x in metric.variables]
            if not all(np.isfinite(value).all() for value in values):
                metric.reset_state()

    def _raise(self, batch, what):
        place = f"Epoch {self._epoch + 1}, step {batch + 1}"
        names = ""
        if self.images is not None and self.params.get("steps"):
            step = self._epoch * self.params["steps"] + batch
            names = f" The images of this step: {list(self.images(step))}"
        raise NonFiniteError(f"{place}: {what}.{names}")


def _finite_everywhere(optimizer, gradients):
    """Whether the gradients of all replicas are finite."""
    finite = type(optimizer).check_finite(optimizer, gradients)
    broken = keras.ops.cast(keras.ops.logical_not(finite), "float32")
    return keras.ops.equal(sum_over_replicas(broken), 0.0)
