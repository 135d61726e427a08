"""Files of named tensors, opened without running anything that is in them.

What a file claims (names, shapes, dtypes) is read first; values only when
`read` asks for one, and never more of them than the file can honestly hold.
"""

import json
import math
import pathlib
import zipfile

import ml_dtypes  # noqa: F401  teaches NumPy the name "bfloat16"
import numpy as np
import safetensors

# Trained weights hardly compress; a file that unpacks to more than this many
# times its size is a bomb.
MOST_EXPANSION = 20
TORCH_SUFFIXES = (".pth", ".pt", ".bin")


class CheckpointError(ValueError):
    """A checkpoint that is broken, unsafe, or not what was asked for."""


class TensorFile:
    """`shapes`: name to shape; `read(name)`: a finite float32 array."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.shapes = {}

    def read(self, name):
        array = np.asarray(self._read(name))
        if array.shape != self.shapes[name]:
            raise CheckpointError(
                f"{self.path}: the tensor {name!r} was announced with the "
                f"shape {self.shapes[name]} and has {array.shape}."
            )
        array = array.astype("float32")
        if not np.isfinite(array).all():
            raise CheckpointError(
                f"{self.path}: the tensor {name!r} holds NaN or infinity, "
                f"{np.size(array) - np.isfinite(array).sum()} of "
                f"{np.size(array)} values. The file is damaged or its "
                "training diverged."
            )
        return array

    def _add(self, name, shape, dtype):
        if name in self.shapes:
            raise CheckpointError(
                f"{self.path}: two tensors have the name {name!r}."
            )
        if str(dtype) not in ("float16", "bfloat16", "float32", "float64"):
            raise CheckpointError(
                f"{self.path}: the tensor {name!r} has the dtype {dtype}. "
                "Weights must be floating point."
            )
        self.shapes[name] = tuple(int(side) for side in shape)

    def _check_size(self, num_bytes):
        size = self.path.stat().st_size
        if num_bytes > MOST_EXPANSION * size:
            raise CheckpointError(
                f"{self.path}: {size:,} bytes claim to unpack to "
                f"{num_bytes:,}. Nothing was unpacked."
            )


class SafetensorsFile(TensorFile):
    """Hugging Face's format; its library checks offsets against the file."""

    DTYPES = {
        "F16": "float16",
        "BF16": "bfloat16",
        "F32": "float32",
        "F64": "float64",
    }

    def __init__(self, path):
        super().__init__(path)
        self._check_header()
        try:
            self._file = safetensors.safe_open(self.path, framework="numpy")
        except safetensors.SafetensorError as error:
            raise CheckpointError(
                f"{self.path} is not a whole safetensors file: {error}"
            ) from error
        for name in self._file.keys():
            part = self._file.get_slice(name)
            dtype = self.DTYPES.get(part.get_dtype(), part.get_dtype())
            self._add(name, part.get_shape(), dtype)

    def _check_header(self):
        """The library takes the last of two equal names without a word."""

        def unique(pairs):
            names = [name for name, _ in pairs]
            for name in names:
                if names.count(name) > 1:
                    raise CheckpointError(
                        f"{self.path}: two tensors have the name {name!r}."
                    )
            return dict(pairs)

        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(self.path.stat().st_size, 100_000_000):
                raise CheckpointError(
                    f"{self.path} is not a whole safetensors file: it "
                    f"announces a header of {length:,} bytes."
                )
            try:
                json.loads(file.read(length), object_pairs_hook=unique)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise CheckpointError(
                    f"{self.path} is not a whole safetensors file: its "
                    f"header is no JSON ({error})."
                ) from error

    def _read(self, name):
        return self._file.get_tensor(name)


class NpzFile(TensorFile):
    """NumPy's archive, without its pickled objects."""

    def __init__(self, path):
        super().__init__(path)
        try:
            self._archive = zipfile.ZipFile(self.path)
            members = self._archive.infolist()
        except zipfile.BadZipFile as error:
            raise CheckpointError(
                f"{self.path} is not a whole .npz file: {error}"
            ) from error
        self._members = {}
        self._check_size(sum(member.file_size for member in members))
        for member in members:
            name = member.filename.removesuffix(".npy")
            with self._open(name, member) as file:
                shape, _, dtype = self._header(file, name)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise CheckpointError(
                    f"{self.path}: the tensor {name!r} is cut off."
                )
            self._add(name, shape, dtype)
            self._members[name] = member

    def _open(self, name, member):
        try:
            return self._archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.path}: the tensor {name!r} can't be read: {error}"
            ) from error

    def _header(self, file, name):
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            return read(file)
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{self.path}: {name!r} is no array of NumPy's: {error}"
            ) from error

    def _read(self, name):
        try:
            with self._open(name, self._members[name]) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{self.path}: the tensor {name!r} can't be read: {error}"
            ) from error


class TorchFile(TensorFile):
    """PyTorch's pickles, read by torch itself with `weights_only=True`."""

    def __init__(self, path):
        super().__init__(path)
        torch = _import_torch(self.path)
        try:
            content = torch.load(
                self.path, map_location="cpu", weights_only=True
            )
        except Exception as error:
            raise CheckpointError(
                f"{self.path}: torch refuses it with weights_only=True, which "
                "is the only way that files of this kind are read, because "
                f"they can run programs: {error}"
            ) from error
        for key in ("model", "state_dict"):
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict):
            raise CheckpointError(
                f"{self.path} holds a {type(content).__name__}, not a dict of "
                "tensors."
            )
        self._tensors = {
            name: tensor
            for name, tensor in content.items()
            if isinstance(tensor, torch.Tensor)
        }
        # A view can claim a shape that its few values don't fill.
        self._check_size(sum(x.nbytes for x in self._tensors.values()))
        for name, tensor in self._tensors.items():
            dtype = str(tensor.dtype).removeprefix("torch.")
            self._add(name, tensor.shape, dtype)

    def _read(self, name):
        return self._tensors[name].float().numpy()


def _import_torch(path):
    mend = f"pip install 'torch>=2.10', or convert {path.name} to safetensors"
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(
            f"{path}: files of this kind are read by torch, which is not "
            f"installed. {mend}."
        ) from error
    version = tuple(int(x) for x in torch.__version__.split(".")[:2])
    if version < (2, 10):
        raise CheckpointError(
            f"{path}: torch {torch.__version__} has known holes in its safe "
            f"loading (CVE-2026-24747). {mend}."
        )
    return torch


def open_tensors(path):
    """Opens a file by what it contains; only torch's need their suffix.

    Raises:
        CheckpointError: If the file is of no known kind, or broken.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        start = file.read(10)
    is_zip = start.startswith(b"PK\x03\x04")
    if path.suffix in TORCH_SUFFIXES:
        return TorchFile(path)
    if is_zip and path.suffix == ".npz":
        return NpzFile(path)
    if start[8:9] == b"{":
        return SafetensorsFile(path)
    raise CheckpointError(
        f"{path} is neither a safetensors file, nor an .npz archive, nor one "
        f"of torch's ({', '.join(TORCH_SUFFIXES)}). It begins with {start!r}."
    )
