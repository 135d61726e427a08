"""Several safetensors files that are one, by their index."""

import json
import pathlib

from keras_vtr.pretrained.tensor_file import PretrainedError

INDEX = "model.safetensors.index.json"


def find_shards(index):
    """Paths of the files that an index names."""
    names = sorted(set(_weight_map(index).values()))
    if any(pathlib.Path(name).name != name for name in names):
        raise PretrainedError(
            f"{index} names a file outside of its folder: {names}"
        )
    absent = [name for name in names if not (index.parent / name).exists()]
    if absent:
        raise PretrainedError(
            f"{index} names {', '.join(absent)}, which the folder lacks. "
            "Download the folder again."
        )
    return [index.parent / name for name in names]


def check_shards(index, files):
    """Refuses shards with other tensors than the index names.

    Args:
        index: The path of the index. Without one, nothing is checked.
        files: The `TensorFile`s; those of other folders are not shards.
    """
    if len(files) < 2:
        return
    weight_map = _weight_map(index)
    for file in files:
        shard = file.path.name
        found = {*file.shapes, *file.counters}
        listed = {name for name, x in weight_map.items() if x == shard}
        if found != listed:
            raise PretrainedError(
                f"{file.path} must hold the tensors that {index.name} names. "
                f"It lacks {sorted(listed - found)[:5]}, and holds "
                f"{sorted(found - listed)[:5]}, which the index has elsewhere "
                "or not at all. Shards of two downloads may be mixed."
            )


def _weight_map(index):
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise PretrainedError(f"{index} has no weight_map.")
    if not all(isinstance(name, str) for name in weight_map.values()):
        raise PretrainedError(
            f"{index}: `weight_map` must be a dict from names of tensors to "
            "names of files."
        )
    return weight_map


def read_json(path):
    """The dict of a JSON file."""
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PretrainedError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise PretrainedError(f"{path} holds no dict: {str(content)[:80]}")
    return content
