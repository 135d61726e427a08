"""What tests of DETR and Table Transformer against transformers share."""

import keras
import numpy as np

from tests.parity import torch
from tests.pretrained.hugging_face_folders import save

MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
SMALL = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "num_queries": 7,
    "num_labels": 5,
}


def randomize(model):
    for path, weight in [*model.named_parameters(), *model.named_buffers()]:
        if path.endswith("running_var"):
            weight.uniform_(0.5, 1.5)
        elif weight.ndim == 1:
            weight.normal_(0.0, 0.1)
            if "norm" in path and path.endswith("weight"):
                # The residual's last norm is small, or 100 layers explode.
                weight.add_(0.3 if "layer.2." in path else 1.0)
        elif "query_position" in path:
            weight.normal_(0.0, 1.0)
        elif "backbone" not in path and "head" not in path:
            weight.normal_(0.0, 2.0 * weight[0].numel() ** -0.5)


def authors_names(model):
    """The tensors as facebookresearch/detr names them."""
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("detr.model.", "model.")
        name = name.replace(".conv_encoder.", ".")  # Table Transformer's
        name = name.replace("detr.class", "class").replace("detr.bbox", "bbox")
        for theirs, authors in AUTHORS:
            name = name.replace(theirs, authors)
        last = "norm3" if "decoder" in name else "norm2"
        name = name.replace("final_layer_norm", last)
        if panoptic_part(name):
            name = panoptic_part(name)
        elif "mask_head" in dir(model):
            name = "detr." + name
        state[name] = tensor
    for name in [x for x in state if ".q_proj." in x]:
        if "bbox_attention" in name:
            continue
        parts = [state.pop(name.replace("q_proj", f"{x}_proj")) for x in "qkv"]
        name = name.replace(".q_proj.", ".in_proj_")
        state[name] = torch.cat(parts)
    return {
        name.replace(
            "bbox_attention.q_proj", "bbox_attention.q_linear"
        ).replace("bbox_attention.k_proj", "bbox_attention.k_linear"): tensor
        for name, tensor in state.items()
    }


# The backbone comes first; timm uses the authors' names for it.
BACKBONE = (
    ("model.backbone.model.embedder.embedder.convolution", "body.conv1"),
    ("model.backbone.model.embedder.embedder.normalization", "body.bn1"),
    *(
        (
            f"model.backbone.model.encoder.stages.{i}.layers",
            f"body.layer{i + 1}",
        )
        for i in range(4)
    ),
    *((f".layer.{i}.convolution", f".conv{i + 1}") for i in range(3)),
    *((f".layer.{i}.normalization", f".bn{i + 1}") for i in range(3)),
    (".shortcut.convolution", ".downsample.0"),
    (".shortcut.normalization", ".downsample.1"),
)
AUTHORS = (
    *BACKBONE,
    ("body.", "backbone.0.body."),
    ("model.encoder", "transformer.encoder"),
    ("model.decoder", "transformer.decoder"),
    ("model.input_projection", "input_proj"),
    ("model.query_position_embeddings", "query_embed"),
    ("class_labels_classifier", "class_embed"),
    ("bbox_predictor", "bbox_embed"),
    ("coder.layernorm", "coder.norm"),
    ("encoder_attn.", "multihead_attn."),
    ("o_proj", "out_proj"),
    ("mlp.fc", "linear"),
    (".fc", ".linear"),
    ("self_attn_layer_norm", "norm1"),
    ("encoder_attn_layer_norm", "norm2"),
)


def save_with_timm_names(model, folder):
    """As the published folders are, whose backbones are timm's."""
    from safetensors.torch import save_file

    save(model, folder)
    state = {}
    for name, tensor in model.state_dict().items():
        if "backbone" in name:
            name = name.replace(".conv_encoder.", ".")
            for theirs, timms in BACKBONE:
                name = name.replace(theirs, timms)
            name = name.replace("body.", "model.backbone.conv_encoder.model.")
        state[name] = tensor.contiguous()
    save_file(state, folder / "model.safetensors")
    return folder


def panoptic_part(name):
    """The mask head's names, or None."""
    if "bbox_attention" in name:
        return name
    if "mask_head" not in name:
        return None
    for i in range(5):
        block = f"conv{i + 1}" if i < 2 else f"fpn_stages.{i - 2}.refine"
        name = name.replace(f"{block}.conv", f"lay{i + 1}")
        name = name.replace(f"{block}.norm", f"gn{i + 1}")
        name = name.replace(f"fpn_stages.{i}.fpn_adapter", f"adapter{i + 1}")
    return name.replace("output_conv", "out_lay")


def padded_batch(rng, sides=((97, 133), (70, 101))):
    """Two images of different sizes, and their padding mask."""
    height, width = (max(x) for x in zip(*sides, strict=True))
    images = np.zeros((2, height, width, 3), "float32")
    mask = np.zeros((2, height, width), bool)
    for i, (h, w) in enumerate(sides):
        images[i, :h, :w] = rng.uniform(0, 255, size=(h, w, 3))
        mask[i, :h, :w] = True
    return images, mask


def theirs(model, images, mask, mean=MEAN, std=STD):
    """Their outputs; their image processor pads with zeros."""
    pixels = (images / 255 - mean) / std * mask[..., None]
    pixels = torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        output = model(pixels, torch.tensor(mask, dtype=torch.float32))
    found = {"logits": output.logits, "boxes": output.pred_boxes}
    if "pred_masks" in output:
        found["masks"] = output.pred_masks
    return {key: value.numpy() for key, value in found.items()}


def assert_equal(ours, expected):
    for key, value in expected.items():
        assert value.std() > 0.05, key  # else equality proves nothing
        found = keras.ops.convert_to_numpy(ours[key])
        np.testing.assert_allclose(found, value, atol=1e-4, rtol=0)
