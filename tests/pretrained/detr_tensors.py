"""A tiny DETR's and ResNet's tensors as their authors name them."""

import numpy as np
import safetensors.numpy

from keras_vtr.backbones import build_resnet

TINY = {
    "image_shape": (None, None, 3),
    "num_queries": 7,
    "hidden_dim": 16,
    "num_heads": 8,
    "mlp_dim": 24,
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
}


def tiny_resnet(**options):
    return build_resnet((None, None, 3), (1, 1, 1, 1), width=8, **options)


def authors_tensors(rng, num_classes=5, masks=False):
    """What the authors' file of a tiny model would hold: names, values."""
    resnet = resnet_tensors(rng, "backbone.0.body.")
    sizes = {
        "input_proj": (16, 256, 1, 1),
        "class_embed": (num_classes + 1, 16),
    }
    sizes |= {f"bbox_embed.layers.{i}": (16, 16) for i in range(2)}
    sizes["bbox_embed.layers.2"] = (4, 16)
    tensors = {"query_embed.weight": (7, 16)}
    for stack, num_layers in (("encoder", 1), ("decoder", 2)):
        for i in range(num_layers):
            layer = f"transformer.{stack}.layers.{i}"
            attentions = ["self_attn", "multihead_attn"]
            for name in attentions[: 1 + (stack == "decoder")]:
                tensors[f"{layer}.{name}.in_proj_weight"] = (48, 16)
                tensors[f"{layer}.{name}.in_proj_bias"] = (48,)
                sizes[f"{layer}.{name}.out_proj"] = (16, 16)
            sizes[f"{layer}.linear1"] = (24, 16)
            sizes[f"{layer}.linear2"] = (16, 24)
            for j in range(2 + (stack == "decoder")):
                sizes[f"{layer}.norm{j + 1}"] = (16,)
    sizes["transformer.decoder.norm"] = (16,)
    if masks:
        sizes |= {"bbox_attention.q_linear": (16, 16)}
        sizes |= {"bbox_attention.k_linear": (16, 16)}
        widths = (24, 24, 8, 4, 2, 1)
        for i in range(5):
            shape = (widths[i + 1], widths[i], 3, 3)
            sizes[f"mask_head.lay{i + 1}"] = shape
            sizes[f"mask_head.gn{i + 1}"] = shape[:1]
        for i, width in enumerate((128, 64, 32)):
            sizes[f"mask_head.adapter{i + 1}"] = (widths[i + 2], width, 1, 1)
        sizes["mask_head.out_lay"] = (1, 1, 3, 3)
    for name, shape in sizes.items():
        tensors[f"{name}.weight"] = shape
        tensors[f"{name}.bias"] = (shape[0],)
    values = {k: rng.normal(0, 0.2, x) for k, x in tensors.items()}
    values = {k: x.astype("float32") for k, x in values.items()} | resnet
    heads = ("mask_head", "bbox_attention")
    return {
        k if not masks or k.startswith(heads) else f"detr.{k}": x
        for k, x in values.items()
    }


def resnet_tensors(rng, prefix="", **options):
    """A tiny ResNet's tensors under torchvision's names."""
    tensors = {}
    names = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    for weight in tiny_resnet(**options).weights:
        layer, kind = weight.path.split("/")
        module = "conv1" if kind == "kernel" else "bn1"
        if layer != "stem_convolution":
            _, stage, _, block, part = layer.split("_", 4)
            if part == "projection":
                module = f"downsample.{0 if kind == 'kernel' else 1}"
            else:
                number = int(part[-1]) + 1
                module = f"{'conv' if kind == 'kernel' else 'bn'}{number}"
            module = f"layer{int(stage) + 1}.{block}.{module}"
        value = abs(rng.normal(0.0, 0.2, weight.shape)).astype("float32")
        if kind == "kernel":
            value = np.transpose(value, (3, 2, 0, 1))
        tensors[f"{prefix}{module}.{names[kind]}"] = value
        if kind == "gamma":
            key = f"{prefix}{module}.num_batches_tracked"
            tensors[key] = np.array(7)
    return tensors


def save(tensors, path):
    tensors = {k: np.ascontiguousarray(x) for k, x in tensors.items()}
    safetensors.numpy.save_file(tensors, path / "detr.safetensors")
    return path / "detr.safetensors"
