import contextlib

import keras

from keras_vtr.classifiers import classifier_of
from keras_vtr.host_errors import own_errors
from keras_vtr.models.named_model import NamedModel

METRICS = (
    "The loss's terms are shown in any case; keras_vtr.metrics."
    "CocoAveragePrecision is a callback"
)


@keras.saving.register_keras_serializable(package="keras_vtr")
class DetectionModel(NamedModel):
    """A functional model whose loss sees all outputs at once.

    Keras passes one output of a dict-output model at a time to a `Loss`, but
    matching needs a query's class and its box together. This class passes the
    whole dict to `loss.term_values` and `loss.total`, as
    `keras_vtr.losses.HungarianLoss` has them, and shows the last decoder
    layer's values of `loss.term_names` in the progress bar of `fit`. Everything
    else is as in `NamedModel`.

    Args:
        inputs: The model's inputs, as for `keras.Model`.
        outputs: A dict of outputs, as the loss expects it.

    Raises:
        ValueError: On `fit` or `evaluate`, if the loss has no terms, or
            sample weights, `loss_weights` or metrics are given, which would
            have no effect.

    Example:

    >>> images = keras.Input((32, 32, 3))
    >>> pooled = keras.layers.GlobalAveragePooling2D()(images)
    >>> outputs = {
    ...     "logits": keras.layers.Dense(4)(pooled)[:, None],
    ...     "boxes": keras.layers.Dense(4, "sigmoid")(pooled)[:, None],
    ... }
    >>> model = keras_vtr.models.DetectionModel(images, outputs)
    >>> model.compile("adamw", loss=keras_vtr.losses.HungarianLoss())
    """

    # No `__init__` and no `compile`: Keras 3.15 doesn't reload a functional
    # model that has its own.

    @own_errors()
    def fit(self, *args, **kwargs):
        self._check_compiled()
        return super().fit(*args, **kwargs)

    @own_errors()
    def evaluate(self, *args, **kwargs):
        self._check_compiled()
        return super().evaluate(*args, **kwargs)

    @own_errors()
    def predict(self, *args, **kwargs):
        return super().predict(*args, **kwargs)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not hasattr(self.loss, "term_values"):
            raise ValueError(
                "A DetectionModel must be compiled with a loss that has "
                "`term_values`, `term_names` and `total`, such as "
                "keras_vtr.losses.HungarianLoss(). Received: "
                f"loss={self.loss!r}"
            )
        if sample_weight is not None:
            raise ValueError(
                "A DetectionModel takes no sample weights: the loss is "
                "normalized by the number of boxes. Received: "
                f"sample_weight={sample_weight!r}"
            )
        self._check_compiled()  # for `train_on_batch`, too
        values = self.loss.term_values(y, y_pred)
        # Each replica has its share of the terms; Keras averages them.
        strategy = getattr(self, "distribute_strategy", None)
        replicas = strategy.num_replicas_in_sync if strategy else 1
        for tracker in self._term_trackers:
            tracker.update_state(values[tracker.name][-1] * replicas)
        loss = self.loss.total(values)
        for penalty in self.losses:  # of regularizers
            # Private in Keras 3.15; it casts and scales as `compute_loss`.
            loss += self._aggregate_additional_loss(penalty)
        return loss

    def _check_compiled(self):
        """Refuses arguments of `compile` that would have no effect."""
        if not self.compiled:
            return
        # Private in Keras 3.15; `get_compile_config` would serialize it all.
        config = self._compile_config.config
        terms = getattr(self.loss, "terms", ())
        weights = {term.name: term.weight for term in terms}
        for name, remedy in (
            ("loss_weights", f"The loss has weights of its own: {weights}"),
            ("metrics", METRICS),
            ("weighted_metrics", METRICS),
        ):
            if config.get(name) is not None:
                raise ValueError(
                    f"`{name}` must not be given to `compile` of a "
                    f"DetectionModel. {remedy}. Received: {name}={config[name]}"
                )

    def make_train_function(self, force=False):
        # An optimizer that builds its variables in the first step makes
        # TensorFlow trace that step twice: 10 s instead of 6 s for the model
        # of examples/train_detr.py (Keras 3.15, TensorFlow 2.21).
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Private in Keras 3.15.1. Under `tf.distribute` it takes a training
        # batch, which is then lost, and its mean over the replicas, which a
        # boolean mask doesn't have, to build what is built already.
        if self._distribute_strategy is not None and self.optimizer is not None:
            with self._distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        self._post_build()

    @property
    def num_classes(self):
        """K, real classes only."""
        classifier = classifier_of(self.output)
        return classifier.num_classes(self.output[classifier.key])

    def detector(self):
        """The model to evaluate and export: without queries for training.

        A training model is its own if it was loaded from a file, or if the
        detector that it was made of is gone.
        """
        # No property: Keras's saving would walk through it without end.
        return vars(self).get("_detector", lambda: None)() or self

    @property
    def metrics(self):
        return super().metrics + self._term_trackers

    @property
    def _term_trackers(self):
        names = getattr(self.loss, "term_names", ()) if self.compiled else ()
        # Through `vars`: Keras 3.15 lets a built layer track nothing new.
        trackers = vars(self).get("_terms", [])
        if [tracker.name for tracker in trackers] != list(names):
            strategy = getattr(self, "_distribute_strategy", None)
            with strategy.scope() if strategy else contextlib.nullcontext():
                trackers = [keras.metrics.Mean(x) for x in names]
            vars(self)["_terms"] = trackers
        return trackers
