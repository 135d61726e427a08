from keras_vtr.checkpoints.tensor_file import CheckpointError
from keras_vtr.checkpoints.tensor_file import TensorFile


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
