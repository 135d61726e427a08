"""int8 by ONNX Runtime's static quantization."""

import pathlib
import tempfile

import numpy as np


def quantize(path, images):
    """Quantizes the convolutions and matrix products of an ONNX file to int8.

    Weights are scaled per channel; activations by the minimum and maximum of
    their values for `images` (Jacob et al. 2018,
    "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 2).

    Args:
        path: Of the file, which is replaced.
        images: (n, height, width, C) float32.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            self.rows = iter(np.split(images, len(images)))

        def get_next(self):
            row = next(self.rows, None)
            return None if row is None else {"images": row}

    with tempfile.TemporaryDirectory() as temporary:
        prepared = pathlib.Path(temporary, "prepared.onnx")
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(path),
            Images(),
            op_types_to_quantize=["Conv", "MatMul"],
            per_channel=True,
            # Weights of seven bits: a processor without VNNI adds products of
            # eight bits in pairs and saturates at 16 bits (the docstring of
            # `reduce_range` in ONNX Runtime 1.32). With eight bits, scores had
            # errors of 0.22, now of 0.02: tests/serving/test_runtimes.py.
            reduce_range=True,
        )
