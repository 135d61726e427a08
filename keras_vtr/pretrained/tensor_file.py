"""What all files of named tensors have in common, and when they are refused."""

import pathlib

import ml_dtypes  # noqa: F401  teaches NumPy the name "bfloat16"
import numpy as np

# Trained weights hardly compress; a file that unpacks to more than this many
# times its size is a bomb.
MOST_EXPANSION = 20


class PretrainedError(ValueError):
    """A file of weights that is broken, unsafe, or not what was asked for."""


class TensorFile:
    """`shapes`: name to shape; `read(name)`: a finite float32 array.

    `place` is the path, and where in the file the tensors are; `settings` is
    what the file says beside them, and `remarks` what there was to choose.
    """

    settings = {}
    remarks = ()

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.place = str(path)
        self.shapes = {}

    def read(self, name):
        array = np.asarray(self._read(name))
        if array.shape != self.shapes[name]:
            raise PretrainedError(
                f"{self.path}: the tensor {name!r} was announced with the "
                f"shape {self.shapes[name]} and has {array.shape}."
            )
        array = array.astype("float32")
        if not np.isfinite(array).all():
            raise PretrainedError(
                f"{self.path}: the tensor {name!r} holds NaN or infinity, "
                f"{np.size(array) - np.isfinite(array).sum()} of "
                f"{np.size(array)} values. The file is damaged or its "
                "training diverged."
            )
        return array

    def _add(self, name, shape, dtype):
        is_float = str(dtype) in ("float16", "bfloat16", "float32", "float64")
        is_counter = not is_float and not tuple(shape)
        if is_counter or name.endswith(".num_batches_tracked"):
            return  # torch's batch norms and averages count their steps
        if name in self.shapes:
            raise PretrainedError(
                f"{self.path}: two tensors have the name {name!r}."
            )
        if not is_float:
            raise PretrainedError(
                f"{self.path}: the tensor {name!r} has the dtype {dtype}. "
                "Weights must be floating point."
            )
        self.shapes[name] = tuple(int(side) for side in shape)

    def _check_size(self, num_bytes):
        size = self.path.stat().st_size
        if num_bytes > MOST_EXPANSION * size:
            raise PretrainedError(
                f"{self.path}: {size:,} bytes claim to unpack to "
                f"{num_bytes:,}. Nothing was unpacked."
            )
