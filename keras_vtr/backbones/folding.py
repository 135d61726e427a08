import keras

from keras_vtr.functional_models import as_functional
from keras_vtr.functional_models import is_graph
from keras_vtr.layers import FrozenNormConv2D


def fold_norms(model):
    """Replaces convolutions with frozen norms by plain convolutions.

    `keras_vtr.layers.FrozenNormConv2D` multiplies its kernel by the norm's
    scale in each call, because the kernel may be trained; inference needs this
    only once. The outputs are equal except for rounding. All other layers are
    shared with `model`, which is not changed.

    Args:
        model: A functional model or a `keras.Sequential`. Models inside it are
            folded too.

    Returns:
        A functional model of the same inputs and outputs, for inference and
        export.

    Raises:
        ValueError: If `model` is not a functional model.

    Example:

    >>> resnet = keras_vtr.backbones.build_resnet((32, 32, 3), (1,), width=8)
    >>> folded = keras_vtr.backbones.fold_norms(resnet)
    >>> print(resnet.count_params(), folded.count_params())
    2680 2416
    """
    model = as_functional(model)

    def replace(layer):
        if is_graph(layer):
            return fold_norms(layer)
        if isinstance(layer, FrozenNormConv2D):
            return _fold_norm(layer)
        return layer

    return keras.models.clone_model(model, clone_function=replace)


def _fold_norm(layer):
    """The plain convolution, after its padding if that isn't Keras's own."""
    kernel, bias = layer.folded_weights()
    convolution = keras.layers.Conv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding="same" if layer.strides == 1 else "valid",
        data_format="channels_last",
        dilation_rate=layer.dilation_rate,
        dtype=layer.dtype_policy,
        name=layer.name,
    )
    convolution.build((None, None, None, kernel.shape[2]))
    convolution.kernel.assign(kernel)
    convolution.bias.assign(bias)
    side = layer.dilation_rate * (layer.kernel_size - 1) // 2
    if layer.strides == 1 or side == 0:
        return convolution
    padding = keras.layers.ZeroPadding2D(
        side, data_format="channels_last", dtype=layer.dtype_policy
    )
    return keras.Sequential([padding, convolution], name=layer.name)
