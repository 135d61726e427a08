"""Opens files of named tensors without running a program in them.

Names, shapes and dtypes are read first; `read` reads the values of one tensor,
and never more of them than the file's size allows.
"""

import json
import math
import pathlib
import zipfile

import numpy as np
import safetensors

from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.tensor_file import TensorFile
from keras_vtr.pretrained.torch_file import TorchFile

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".th", ".tar")


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
            raise PretrainedError(
                f"{self.path} is not a complete safetensors file: {error}"
            ) from error
        self.license = (self._file.metadata() or {}).get("license")
        for name in self._file.keys():
            part = self._file.get_slice(name)
            dtype = self.DTYPES.get(part.get_dtype(), part.get_dtype())
            self._add(name, part.get_shape(), dtype)

    def _check_header(self):
        """safetensors 0.8 silently takes the last of two equal names."""

        def unique(pairs):
            found = {}
            for name, value in pairs:
                if name in found:
                    raise PretrainedError(
                        f"{self.path}: two tensors have the name {name!r}."
                    )
                found[name] = value
            return found

        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(self.path.stat().st_size, 100_000_000):
                raise PretrainedError(
                    f"{self.path} is not a complete safetensors file: it "
                    f"announces a header of {length:,} bytes."
                )
            try:
                json.loads(file.read(length), object_pairs_hook=unique)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise PretrainedError(
                    f"{self.path} is not a complete safetensors file: its "
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
            raise PretrainedError(
                f"{self.path} is not a complete .npz file: {error}"
            ) from error
        self._members = {}
        self._check_size(sum(member.file_size for member in members))
        for member in members:
            name = member.filename.removesuffix(".npy")
            with self._open(name, member) as file:
                shape, _, dtype = self._header(file, name)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise PretrainedError(
                    f"{self.path}: the tensor {name!r} is cut off."
                )
            self._add(name, shape, dtype)
            self._members[name] = member

    def _open(self, name, member):
        try:
            return self._archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise PretrainedError(
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
            raise PretrainedError(
                f"{self.path}: {name!r} is no array of NumPy's: {error}"
            ) from error

    def _read(self, name):
        try:
            with self._open(name, self._members[name]) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise PretrainedError(
                f"{self.path}: the tensor {name!r} can't be read: {error}"
            ) from error


def open_tensors(path):
    """Opens a file by its content; torch's files by their suffix.

    Raises:
        PretrainedError: If the file is of no known kind, or broken.
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
    raise PretrainedError(
        f"{path} is neither a safetensors file, nor an .npz archive, nor one "
        f"of torch's ({', '.join(TORCH_SUFFIXES)}). It begins with {start!r}."
    )
