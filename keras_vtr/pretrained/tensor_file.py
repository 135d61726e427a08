"""The base of all files of named tensors, and its checks."""

import pathlib

import ml_dtypes  # noqa: F401  teaches NumPy the name "bfloat16"
import numpy as np

# Trained weights hardly compress: a file that unpacks to more than this many
# times its size is an archive bomb.
MOST_EXPANSION = 20
# Steps of torch's batch norms, and 0, 1, 2, ... of transformers' positions.
COUNTERS = (".num_batches_tracked", ".position_ids")


class PretrainedError(ValueError):
    """A file of weights that is broken, unsafe, or doesn't fit."""


class TensorFile:
    """`shapes`: name to shape; `read(name)`: a finite float32 array.

    `place` is the path and the keys of the tensors in the file; `settings` are
    other entries of the file; `remarks` say which of its tensors were chosen;
    `license` is that of the weights, if the file names it; `counters` are the
    names of tensors that are no weights.
    """

    settings = {}
    remarks = ()
    license = None

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.place = str(path)
        self.shapes = {}
        self.counters = set()

    def read(self, name):
        array = np.asarray(self._read(name))
        if array.shape != self.shapes[name]:
            raise PretrainedError(
                f"{self.path}: the tensor {name!r} must have the shape "
                f"{self.shapes[name]} of its header. Received: {array.shape}"
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
        if is_counter or name.endswith(COUNTERS):
            self.counters.add(name)
            return
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
