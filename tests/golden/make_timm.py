"""Makes timm.npz: what timm 1.0.31 answers, for its names and for Google's.

timm needs torchvision, which needs a torch of its own, so this runs in an
environment apart (Python 3.11):

    python3.11 -m venv /tmp/timm
    /tmp/timm/bin/pip install timm==1.0.31 scipy
    /tmp/timm/bin/python tests/golden/make_timm.py

The weights are not stored: `random_weights` makes them again from names and
shapes, and tests do the same. For Google's layout timm's own reader loads the
arrays, which `google_names` spells as Flax does.
"""

import json
import pathlib
import tempfile

import numpy as np
import scipy.ndimage
import timm
import torch

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
SIZES = [(64, 64), (96, 64)]
MODELS = {
    "vit": ("vit_tiny_patch16_224", {}),
    "vit_mean": (
        "vit_tiny_patch16_224",
        {"global_pool": "avg"} | {"fc_norm": False},
    ),
    "vit_qk_norm": ("vit_tiny_patch16_224", {"qk_norm": True}),
    "deit_distilled": ("deit_tiny_distilled_patch16_224", {}),
    "dinov2": ("vit_small_patch14_dinov2", {"patch_size": 16}),
    "dinov2_giant": ("vit_giant_patch14_dinov2", {"patch_size": 16}),
    "dinov2_registers": ("vit_small_patch14_reg4_dinov2", {"patch_size": 16}),
    "dinov3": ("vit_small_patch16_dinov3", {}),
    "dinov3_gated": (
        "vit_small_plus_patch16_dinov3_qkvb",
        {"global_pool": "token"},
    ),
    "r_ti_16": ("vit_tiny_r_s16_p8_224", {}),
    "r50_b_16": ("vit_base_r50_s16_224", {}),
    "r26_s_32": ("vit_small_r26_s32_224", {}),
    "r50_l_32": ("vit_large_r50_s32_224", {}),
}
GOOGLE = ["vit", "r_ti_16", "r50_b_16"]


def random_weights(shapes, seed=0):
    """Arrays in the order of their names; norms' scales are around 1."""
    random = np.random.RandomState(seed)
    weights = {}
    for name in sorted(shapes):
        weights[name] = random.normal(0.0, 0.2, size=shapes[name])
        if "norm" in name.lower() or "gn" in name:
            if name.endswith(("weight", "scale")):
                weights[name] += 1.0
    return {name: x.astype("float32") for name, x in weights.items()}


def random_images(size):
    random = np.random.RandomState(1)
    return random.uniform(0, 255, size=(2, *size, 3)).astype("float32")


def run(model, size):
    config = model.pretrained_cfg
    pixels = (random_images(size) / 255 - config["mean"]) / config["std"]
    pixels = torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        return model(pixels).numpy()


def create(name, arguments):
    model = timm.create_model(
        name, **{**TINY, **arguments}, img_size=64, dynamic_img_size=True
    )
    return model.eval()


def config_of(name, model, arguments):
    """What timm writes to config.json on the hub, as far as it matters."""
    config = model.pretrained_cfg
    return {
        "architecture": name,
        "num_classes": model.num_classes,
        "global_pool": model.global_pool,
        "model_args": {"num_heads": 3}
        | {k: v for k, v in arguments.items() if k != "fc_norm"},
        "pretrained_cfg": {"mean": config["mean"], "std": config["std"]},
    }


def google_names(model):
    """Flax's names and shapes for a model of timm's."""
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    width, heads = TINY["embed_dim"], TINY["num_heads"]
    out, inner, side, _ = shapes["patch_embed.proj.weight"]
    names = {
        "cls": shapes["cls_token"],
        "embedding/kernel": (side, side, inner, out),
        "embedding/bias": (out,),
        "Transformer/posembed_input/pos_embedding": shapes["pos_embed"],
        "Transformer/encoder_norm/scale": (width,),
        "Transformer/encoder_norm/bias": (width,),
        "head/kernel": (width, TINY["num_classes"]),
        "head/bias": (TINY["num_classes"],),
    }
    for i in range(TINY["depth"]):
        block = f"Transformer/encoderblock_{i}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        mlp = shapes[f"blocks.{i}.mlp.fc1.weight"][0]
        for name in ("query", "key", "value"):
            names[f"{attention}/{name}/kernel"] = (width, heads, width // heads)
            names[f"{attention}/{name}/bias"] = (heads, width // heads)
        names[f"{attention}/out/kernel"] = (heads, width // heads, width)
        names[f"{attention}/out/bias"] = (width,)
        names[f"{block}/MlpBlock_3/Dense_0/kernel"] = (width, mlp)
        names[f"{block}/MlpBlock_3/Dense_0/bias"] = (mlp,)
        names[f"{block}/MlpBlock_3/Dense_1/kernel"] = (mlp, width)
        names[f"{block}/MlpBlock_3/Dense_1/bias"] = (width,)
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            names[f"{block}/{norm}/scale"] = (width,)
            names[f"{block}/{norm}/bias"] = (width,)
    for name, shape in shapes.items():
        if not name.startswith("patch_embed.backbone."):
            continue
        parts = name.removeprefix("patch_embed.backbone.").split(".")
        if parts[0] == "stages":
            stage, unit = int(parts[1]) + 1, int(parts[3]) + 1
            prefix = f"block{stage}/unit{unit}/"
            which = parts[4].removeprefix("conv").removeprefix("norm")
            kind = "conv" if len(shape) == 4 else "gn"
            if parts[4] == "downsample":
                which = "_proj"
        else:
            prefix, which = "", "_root"
            kind = "conv" if len(shape) == 4 else "gn"
        if kind == "conv":
            shape = tuple(shape[i] for i in (2, 3, 1, 0))
            names[f"{prefix}conv{which}/kernel"] = shape
        else:
            end = {"weight": "scale", "bias": "bias"}[parts[-1]]
            names[f"{prefix}gn{which}/{end}"] = shape
    return names


def use_google_constants(model):
    """timm rounds them off: Google adds 1e-5 to a filter's *deviation*.

    (vision_transformer/vit_jax/models_resnet.py: `std + 1e-5`; GroupNorm of
    Flax: 1e-6.)
    """
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
        if isinstance(module, timm.layers.StdConv2dSame):
            with torch.no_grad():
                weight = module.weight
                mean = weight.mean(dim=(1, 2, 3), keepdim=True)
                std = weight.std(dim=(1, 2, 3), keepdim=True, correction=0)
                weight.copy_((weight - mean) / (std + 1e-5))

            def forward(x, module=module):
                x = timm.layers.pad_same(x, module.kernel_size, module.stride)
                return torch.nn.functional.conv2d(
                    x, module.weight, None, module.stride
                )

            module.forward = forward


def zoom(table, grid):
    """As Google's code resizes positions."""
    old = round((table.shape[1] - 1) ** 0.5)
    rest = table[0, 1:].reshape(old, old, -1)
    factors = (grid[0] / old, grid[1] / old, 1)
    rest = scipy.ndimage.zoom(rest, factors, order=1).reshape(1, -1, 24)
    return np.concatenate([table[:, :1], rest], axis=1)


def main():
    golden = {}
    cases = {}
    for case, (name, arguments) in MODELS.items():
        model = create(name, arguments)
        state = model.state_dict()
        shapes = {k: tuple(v.shape) for k, v in state.items()}
        weights = random_weights(shapes)
        model.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        config = config_of(name, model, arguments)
        cases[case] = {"shapes": shapes, "config": config}
        for i, size in enumerate(SIZES):
            golden[f"{case}/{i}"] = run(model, size)
    for case in GOOGLE:
        name, arguments = MODELS[case]
        model = create(name, arguments)
        shapes = google_names(model)
        weights = random_weights(shapes)
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file.name, **weights)
            model.load_pretrained(file.name)
        use_google_constants(model)
        cases[f"google_{case}"] = {"shapes": shapes}
        golden[f"google_{case}/0"] = run(model, SIZES[0])
        table = weights["Transformer/posembed_input/pos_embedding"]
        stride = 64 // round((table.shape[1] - 1) ** 0.5)
        grid = tuple(side // stride for side in SIZES[1])
        model.pos_embed = torch.nn.Parameter(torch.tensor(zoom(table, grid)))
        model.dynamic_img_size = False
        model.patch_embed.strict_img_size = False
        model.patch_embed.flatten = True
        model.patch_embed.output_fmt = None
        golden[f"google_{case}/1"] = run(model, SIZES[1])
    np.savez_compressed(
        pathlib.Path(__file__).with_name("timm.npz"),
        cases=json.dumps(cases),
        **golden,
    )


if __name__ == "__main__":
    main()
