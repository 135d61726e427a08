import keras


@keras.saving.register_keras_serializable(package="keras_vtr")
class StrictModel(keras.Model):
    """A functional model that refuses inputs which it doesn't have.

    Keras (3.15) ignores surplus entries of a dict or a list of inputs, such as
    a padding mask, without an error. Otherwise a `keras.Model`.

    Args:
        inputs: The model's inputs, as for `keras.Model`.
        outputs: The model's outputs, as for `keras.Model`.

    Raises:
        ValueError: If it is called with a surplus input, also by `fit`,
            `evaluate` and `predict`.

    Example:

    >>> images = keras.Input((4,), name="images")
    >>> model = keras_vtr.models.StrictModel(images, images + 1.0)
    >>> ones = np.ones((1, 4))
    >>> try:
    ...     model.predict({"images": ones, "weights": ones}, verbose=0)
    ... except ValueError as error:
    ...     print(str(error)[:45])
    Inputs must be among ['images']. Received: ['
    """

    # No `__init__` and no `compile`: Keras 3.15 can't reload a model with them.

    # Checked before `fit` begins: on JAX an error within it loses the weights.
    def fit(self, x=None, *args, **kwargs):
        self._check_data(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        self._check_data(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self._check_data(x)
        return super().predict(x, *args, **kwargs)

    def __call__(self, inputs, *args, **kwargs):  # symbolic inputs as well
        self._check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs, training=None, mask=None, **kwargs):  # JAX, in `fit`
        self._check_inputs(inputs)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def _check_data(self, x):
        """Checks arrays, or the `element_spec` of a `tf.data.Dataset`."""
        if hasattr(x, "element_spec"):
            x = x.element_spec
            x = x[0] if isinstance(x, tuple) else x
        is_list = isinstance(x, (list, tuple)) and all(
            hasattr(one, "shape") for one in x
        )
        if isinstance(x, dict) or is_list:
            self._check_inputs(x)

    def _check_inputs(self, inputs):
        names = [x.name for x in self.inputs]
        if isinstance(self.input, dict):
            names = sorted(self.input)
        if isinstance(inputs, dict):
            received = sorted(inputs)
            unread = sorted(set(inputs) - set(names))
        else:
            received = [tuple(x.shape) for x in keras.tree.flatten(inputs)]
            unread = received[len(names) :]
        if unread:
            raise ValueError(
                f"Inputs must be among {names}. Received: {received}. Leave "
                f"{unread} out, or build the model so that it reads them: a "
                "detector reads `padding_mask` if it is built with padding="
                '"exact" or "published".'
            )
