"""Runs a SavedModel with TensorFlow's C API, without Python's TensorFlow.

    python -m tests.serving.c_loader FOLDER NAMES.json IMAGE...

TF Serving uses the same C++ loader. NAMES.json has the names of the signature's
tensors in the graph. Prints the answer as JSON.
"""

import ctypes
import importlib.util
import json
import pathlib
import sys

import numpy as np

STRING, FLOAT, INT32 = 7, 1, 3
NUMBERS = {FLOAT: np.float32, INT32: np.int32}
STRING_BYTES = 24  # sizeof(TF_TString)


class Pointer(ctypes.c_void_p):
    """As results, `c_void_p` become numbers, which are passed on as 32 bits.

    That goes well by chance: on the stack the other half is anything.
    """


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Loader:
    """A SavedModel in a TensorFlow session.

    Args:
        folder: Of the SavedModel.
    """

    def __init__(self, folder):
        found = importlib.util.find_spec("tensorflow")
        place = pathlib.Path(found.submodule_search_locations[0])
        mode = ctypes.RTLD_GLOBAL
        ctypes.CDLL(str(place / "libtensorflow_framework.so.2"), mode)
        self.library = ctypes.CDLL(str(place / "libtensorflow_cc.so.2"), mode)
        assert "tensorflow" not in sys.modules
        self.status = self.call("NewStatus")
        self.graph = self.call("NewGraph")
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.call(
            *("LoadSessionFromSavedModel", self.call("NewSessionOptions")),
            *(None, str(folder).encode(), tags, 1, self.graph, None),
            self.status,
        )
        self.check()

    def call(self, name, *arguments, result=Pointer):
        function = getattr(self.library, f"TF_{name}")
        function.restype = result
        return function(*arguments)

    def check(self):
        if self.call("GetCode", self.status, result=ctypes.c_int):
            message = self.call("Message", self.status, result=ctypes.c_char_p)
            raise RuntimeError(message.decode())

    def output(self, name):
        operation, index = name.rsplit(":", 1)
        found = self.call(
            "GraphOperationByName", self.graph, operation.encode()
        )
        assert found, f"no operation {operation}"
        return Output(found, int(index))

    def strings(self, values):
        """A tensor (B,) of strings."""
        sides = (ctypes.c_int64 * 1)(len(values))
        size = ctypes.c_size_t(STRING_BYTES * len(values))
        tensor = self.call("AllocateTensor", STRING, sides, 1, size)
        start = self.call("TensorData", tensor).value
        for i, value in enumerate(values):
            place = Pointer(start + i * STRING_BYTES)
            self.call("StringInit", place, result=None)
            length = ctypes.c_size_t(len(value))
            self.call("StringCopy", place, value, length, result=None)
        return tensor

    def to_numpy(self, tensor):
        kind = self.call("TensorType", tensor, result=ctypes.c_int)
        rank = self.call("NumDims", tensor, result=ctypes.c_int)
        shape = [
            self.call("Dim", tensor, i, result=ctypes.c_int64)
            for i in range(rank)
        ]
        start, count = self.call("TensorData", tensor), int(np.prod(shape))
        start = start.value
        if kind != STRING:
            content = ctypes.string_at(start, count * 4)
            return np.frombuffer(content, NUMBERS[kind]).reshape(shape)
        found = []
        for i in range(count):
            place = Pointer(start + i * STRING_BYTES)
            size = self.call("StringGetSize", place, result=ctypes.c_size_t)
            data = self.call("StringGetDataPointer", place)
            found.append(ctypes.string_at(data.value, size).decode())
        return np.array(found, object).reshape(shape)

    def ask(self, inputs, outputs):
        """Runs the session: both are dicts by the graph's tensor names."""
        feeds = (Output * len(inputs))(*map(self.output, inputs))
        values = (ctypes.c_void_p * len(inputs))(*inputs.values())
        fetches = (Output * len(outputs))(*map(self.output, outputs.values()))
        found = (ctypes.c_void_p * len(outputs))()
        self.call(
            *("SessionRun", self.session, None, feeds, values, len(inputs)),
            *(fetches, found, len(outputs), None, 0, None, self.status),
            result=None,
        )
        self.check()
        return {
            key: self.to_numpy(Pointer(x))
            for key, x in zip(outputs, found, strict=True)
        }


def main():
    folder, names, *paths = sys.argv[1:]
    names = json.loads(pathlib.Path(names).read_text())
    loader = Loader(folder)
    images = [pathlib.Path(path).read_bytes() for path in paths]
    (image_bytes,) = names["inputs"].values()
    answer = loader.ask({image_bytes: loader.strings(images)}, names["outputs"])
    print(json.dumps({key: x.tolist() for key, x in answer.items()}))


if __name__ == "__main__":
    main()
