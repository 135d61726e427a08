"""Makes timm_sweep.json.xz: what timm 1.0.31 builds under each of its names.

Every ViT and ResNet of timm, and families whose tensors have names like
theirs, is built without memory, on torch's meta device. Kept are the shapes of
its tensors, the config.json that timm writes for it, and what its modules
compute. `tests/pretrained/test_timm_sweep.py` holds our loader against it.

timm needs an environment of its own, as make_timm.py says; then

    /tmp/timm/bin/python tests/golden/make_timm_sweep.py

takes two minutes.
"""

import json
import lzma
import pathlib
import tempfile

import timm
import torch
from timm.models._hub import save_config_for_hf

FAMILIES = (
    "vision_transformer",
    "vision_transformer_hybrid",
    "deit",
    "beit",
    "eva",
    "naflexvit",
    "vision_transformer_relpos",
    "vision_transformer_sam",
    "resnet",
    "resnetv2",
    "res2net",
    "resnest",
    "senet",
    "sknet",
)
# What of a module's attributes changes what it computes.
ATTRIBUTES = {
    "Conv2d": ("stride", "padding", "dilation", "groups"),
    "StdConv2d": ("stride", "padding", "dilation", "groups", "eps"),
    "StdConv2dSame": ("stride", "dilation", "groups", "eps", "same_pad"),
    "MaxPool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
    "MaxPool2dSame": ("kernel_size", "stride", "ceil_mode"),
    "AvgPool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
    "BatchNorm2d": ("eps",),
    "GroupNormAct": ("eps", "num_groups"),
    "LayerNorm": ("eps",),
    "GELU": ("approximate",),
    "Attention": ("num_heads", "scale"),
    "VisionTransformer": (
        "global_pool",
        "num_prefix_tokens",
        "num_reg_tokens",
        "has_class_token",
        "no_embed_class",
        "pool_include_prefix",
    ),
    "EvaAttention": ("num_heads", "scale", "rotate_half"),
    "Eva": ("global_pool", "num_prefix_tokens"),
    "RotaryEmbeddingDinoV3": (
        "temperature",
        "min_period",
        "normalize_coords",
        "grid_offset",
        "grid_indexing",
        "rotate_half",
    ),
    "PatchEmbed": ("grid_size",),
    "HybridEmbed": ("grid_size",),
}
ATTRIBUTES["VisionTransformerDistilled"] = ATTRIBUTES["VisionTransformer"]


def modules(model):
    """(kind, attributes) to the paths of modules that have them."""
    found = {}
    for path, module in model.named_modules():
        kind = type(module).__name__
        values = [getattr(module, x) for x in ATTRIBUTES.get(kind, ())]
        key = json.dumps([kind, *values])
        found.setdefault(key, []).append(path)
    return [[*json.loads(key), paths] for key, paths in found.items()]


def describe(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "config.json"
        save_config_for_hf(model, path)
        config = json.loads(path.read_text())
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    return {"config": config, "shapes": shapes, "modules": modules(model)}


def main():
    names = [x for y in FAMILIES for x in timm.list_models(module=y)]
    sweep = {}
    for name in names:
        sweep[name] = describe(name)
        print(name, len(sweep[name]["shapes"]))
    content = json.dumps(sweep, separators=(",", ":"), sort_keys=True)
    path = pathlib.Path(__file__).with_name("timm_sweep.json.xz")
    path.write_bytes(lzma.compress(content.encode(), preset=9))
    print(len(names), "names,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
