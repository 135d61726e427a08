import keras
import numpy as np

from keras_vtr.stages import Transformer
from keras_vtr.strict_model import StrictModel


@keras.saving.register_keras_serializable(package="keras_vtr")
class SequenceModel(StrictModel):
    """A functional model of token sequences, which it validates.

    A token outside of the vocabulary has no row in the embedding. On a CPU
    TensorFlow stops at it in the middle of an epoch; under XLA and on JAX a
    wrong row is read without an error. So `fit`, `evaluate` and `predict` check
    arrays before they start, `validation_data` too; of a `tf.data.Dataset`
    check its arrays by `check_tokens`. Everything else is as in `StrictModel`.

    Args:
        inputs: The model's inputs, as for `keras.Model`, a dict. Those of
            integers, (B, N), are tokens.
        outputs: As for `keras.Model`.

    Raises:
        ValueError: On `fit`, `evaluate` and `predict`, as `check_tokens`; on
            `fit` with `class_weight`.

    Example:

    >>> tokens = keras.Input((None,), dtype="int32", name="tokens")
    >>> embedding = keras.layers.Embedding(5, 4, name="embedding")
    >>> model = keras_vtr.models.SequenceModel(
    ...     {"tokens": tokens}, embedding(tokens)
    ... )
    >>> model.check_tokens("tokens", [[1, 4, 0]])
    """

    # No `__init__`: Keras 3.15 doesn't reload a functional model with its own.

    def fit(self, x=None, y=None, *args, **kwargs):
        self._check_arrays(x, y)
        if kwargs.get("class_weight") is not None:  # Keras expects one-hot y
            raise ValueError(
                "`class_weight` must be None: each target is a sequence of "
                "classes. Received: class_weight="
                f"{kwargs['class_weight']}. Weigh sequences by `sample_weight`."
            )
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, (tuple, list)):
            self._check_arrays(*validation_data[:2])
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self._check_arrays(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self._check_arrays(x)
        return super().predict(x, *args, **kwargs)

    @property
    def vocabulary_size(self):
        """V, number of tokens; the row count of the embedding."""
        return self.get_layer(Transformer.EMBEDDING).input_dim

    def check_tokens(self, name, tokens):
        """Refuses anything but a batch of sequences of this vocabulary.

        Args:
            name: What the tokens are called in an error.
            tokens: (B, N) integers, an array or nested lists.

        Raises:
            ValueError: If they are not integers from 0 to V - 1 of rank 2. It
                names the first wrong one and its index.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
            raise ValueError(
                f"`{name}` must be integers of the shape (B, N), token numbers."
                f" Received: shape={tokens.shape}, dtype={tokens.dtype}"
            )
        is_wrong = (tokens < 0) | (tokens >= self.vocabulary_size)
        if is_wrong.any():
            index = tuple(int(n) for n in np.argwhere(is_wrong)[0])
            raise ValueError(
                f"`{name}` must hold tokens from 0 to "
                f"{self.vocabulary_size - 1}, for a vocabulary of "
                f"{self.vocabulary_size}. Received: {tokens[index]} at "
                f"{name}{list(index)}, and {is_wrong.sum() - 1} more"
            )

    def _check_arrays(self, x, y=None):
        for name, tokens in x.items() if isinstance(x, dict) else ():
            spec = self.input.get(name)
            if spec is None or len(spec.shape) != 2:
                continue  # an image, say
            if "int" in spec.dtype:
                self.check_tokens(name, tokens)
        if y is not None:
            self.check_tokens("y", y)
