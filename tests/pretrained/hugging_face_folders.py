"""Writes folders in transformers' formats."""

import json


def save(model, folder):
    """As transformers saves it, with the normalization that goes with it."""
    model.save_pretrained(folder)
    pixels = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({"do_normalize": True, **pixels}))
    return folder


def save_as_version_5(model, folder):
    """With the names that version 5 has in memory."""
    save(model, folder)
    state = {
        name: tensor.contiguous() for name, tensor in model.state_dict().items()
    }
    from safetensors.torch import save_file

    save_file(state, folder / "model.safetensors")
    return folder
