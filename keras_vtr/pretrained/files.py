"""Finds the files of pretrained weights: here, or on Hugging Face."""

import hashlib
import itertools
import pathlib

from keras_vtr.pretrained.configuration import Configuration
from keras_vtr.pretrained.licenses import README
from keras_vtr.pretrained.licenses import find_license
from keras_vtr.pretrained.readers import open_tensors
from keras_vtr.pretrained.shards import INDEX
from keras_vtr.pretrained.shards import check_shards
from keras_vtr.pretrained.shards import find_shards
from keras_vtr.pretrained.shards import read_json
from keras_vtr.pretrained.tensor_file import PretrainedError

HUB = "hf://"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What torch.compile, FSDP and activation checkpointing add to the names of
# parameters; private names of torch 2.13.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
CONFIGS = ("config.json", "preprocessor_config.json")


class PretrainedWeights:
    """Tensors of one file or of several shards, and the configuration.

    Args:
        files: `TensorFile`s.
        config: The `Configuration` of config.json.
        license: Of the weights, if a file names it.
    """

    def __init__(self, files, config, license=None):
        self.config = config
        self.license = license
        self.shapes = {}
        self._origins = {}
        self._files = files
        self.remarks = tuple(x for file in self._files for x in file.remarks)
        names = [name for file in self._files for name in file.shapes]
        self._prefix = _shared_prefix(names)
        for file in self._files:
            for theirs, shape in file.shapes.items():
                name = _remove_wrappers(theirs).removeprefix(self._prefix)
                if name in self.shapes:
                    raise PretrainedError(
                        f"{file.path}: the tensor {theirs!r} is also in "
                        f"{self._origins[name][0].path}."
                    )
                self.shapes[name] = shape
                self._origins[name] = file, theirs

    def __str__(self):
        places = ", ".join(file.place for file in self._files)
        after = f", names after {self._prefix!r}" if self._prefix else ""
        return places + after

    def read(self, name):
        file, theirs = self._origins[name]
        return file.read(theirs)


def _remove_wrappers(name):
    """Removes the names of torch's wrappers."""
    for word in WRAPPERS:
        name = name.replace(f"{word}.", "")
    return name


def _shared_prefix(names):
    """The prefix of all names, such as "module.model."."""
    if len(names) < 2:
        return ""
    words = [_remove_wrappers(name).split(".")[:-1] for name in names]
    parts = zip(*words, strict=False)
    same = itertools.takewhile(lambda x: len(set(x)) == 1, parts)
    return "".join(f"{x[0]}." for x in same)


def open_weights(path, revision=None, sha256=None):
    """Finds the files of weights and reads their names and shapes.

    Args:
        path: Of a file or folder, or "hf://organization/name".
        revision: Of the repository on the hub: a commit, branch or tag.
        sha256: Optional digest, in hexadecimal, that the one file of weights
            must have.

    Raises:
        PretrainedError: If something is missing or broken, or has another
            digest.
    """
    path = str(path)
    if path.startswith(HUB):
        folder = _download(path, revision)
    elif revision is not None:
        raise PretrainedError(
            f"`revision` is for paths that begin with {HUB!r}. Received: "
            f"path={path!r}, revision={revision!r}"
        )
    else:
        folder = pathlib.Path(path)
    if not folder.exists():
        raise PretrainedError(
            f"{folder} doesn't exist. `path` must be a file, a folder, or "
            f"'{HUB}organization/name'."
        )
    paths = _weight_files(folder) if folder.is_dir() else [folder]
    if sha256 is not None:
        _check_digest(paths, sha256)
    config_folder = folder if folder.is_dir() else folder.parent
    try:
        files = [open_tensors(x) for x in paths]
        check_shards(config_folder / INDEX, files)
        config = _read_configuration(config_folder, files[0])
        license = find_license(config_folder, files, config)
        return PretrainedWeights(files, config, license)
    except OSError as error:
        raise PretrainedError(f"{path} can't be read: {error}") from error


def _weight_files(folder):
    for name in WEIGHTS:
        if (folder / name).exists():
            return [folder / name]
    if (folder / INDEX).exists():
        return find_shards(folder / INDEX)
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".safetensors", ".npz", ".pth", ".pt", ".ckpt")
    )
    if len(found) != 1:
        raise PretrainedError(
            f"{folder} must hold {' or '.join(WEIGHTS)}, or one file of "
            f"weights. It holds {sorted(x.name for x in folder.iterdir())}."
        )
    return found


def _read_configuration(folder, file):
    """The `Configuration` of a folder, and of the settings in its file."""
    config, preprocessor = (
        read_json(path) if path.exists() else {}
        for path in (folder / name for name in CONFIGS)
    )
    return Configuration(
        config,
        folder / CONFIGS[0],
        preprocessor=Configuration(preprocessor, folder / CONFIGS[1]),
        training=Configuration(file.settings, file.path),
    )


def _check_digest(paths, sha256):
    if len(paths) != 1:
        raise PretrainedError(
            f"`sha256` is for one file of weights; there are {len(paths)}: "
            f"{[path.name for path in paths]}"
        )
    with open(paths[0], "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.lower():
        raise PretrainedError(
            f"{paths[0]} must have the digest sha256={sha256}. Received: "
            f"{digest}"
        )


def _download(path, revision):
    try:
        import huggingface_hub
    except ImportError as error:
        raise PretrainedError(
            f"{path} needs huggingface_hub, which is not installed: pip "
            "install huggingface-hub, or give a folder."
        ) from error

    def fetch(*patterns):
        folder = huggingface_hub.snapshot_download(
            path.removeprefix(HUB).strip("/"),
            revision=revision,
            allow_patterns=list(patterns),
        )
        return pathlib.Path(folder)

    try:
        folder = fetch("*.json", "*.safetensors", README)
        if not any(folder.glob("*.safetensors")):
            folder = fetch("*.json", "pytorch_model.bin", README)
    except Exception as error:
        raise PretrainedError(
            f"{path} (revision {revision or 'main'}) could not be "
            f"fetched: {type(error).__name__}: {error} Check the name and "
            "the connection. A folder that was downloaded before can be given "
            "instead."
        ) from error
    return folder
