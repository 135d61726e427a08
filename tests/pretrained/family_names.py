"""Tiny models of transformers, and the names of their tensors, by family.

    python -m tests.pretrained.family_names

writes `tests/golden/family_names.json.xz`, which tests read without
transformers (5.24).
"""

import json
import lzma
import pathlib
import tempfile

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
PATH = GOLDEN / "family_names.json.xz"
VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 32,
    "patch_size": 8,
}
SMALL = {k: v for k, v in VIT.items() if k not in ("image_size", "patch_size")}
TEXT = {**SMALL, "vocab_size": 9, "max_position_embeddings": 7}
TOWERS = {"vision_config": VIT, "text_config": TEXT}
NAFLEX = {"vision_config": {**SMALL, "patch_size": 8}, "text_config": TEXT}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8],
    "depths": [1, 1],
    "layer_type": "bottleneck",
}
DETR = {
    "use_timm_backbone": False,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "num_queries": 5,
}
RF_DETR = {
    "d_model": 16,
    "decoder_layers": 1,
    "decoder_ffn_dim": 16,
    "decoder_self_attention_heads": 2,
    "decoder_cross_attention_heads": 4,
    "decoder_n_points": 1,
    "num_queries": 3,
    "group_detr": 2,
    "backbone_config": {
        "model_type": "rf_detr_dinov2",
        **{k: v for k, v in VIT.items() if k != "intermediate_size"},
        "out_indices": [0, 1],
    },
}
LW_DETR = {
    **{k: v for k, v in RF_DETR.items() if k != "backbone_config"},
    "backbone_config": {
        "model_type": "lw_detr_vit",
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "out_indices": [0],
        "window_block_indices": [],
    },
}
YOLOS = {**VIT, "image_size": [32, 32], "num_detection_tokens": 3}
# What tells a family apart is in its `recognize`. The family, None if none may
# recognize the file, and "... by model_type" if only config.json tells it
# apart; the model, and its arguments.
MODELS = {
    "ViT": ("hugging_face", "ViTForImageClassification", VIT),
    "ViT without classes": ("hugging_face", "ViTModel", VIT),
    "DeiT": ("hugging_face", "DeiTForImageClassificationWithTeacher", VIT),
    "DINOv2": ("hugging_face", "Dinov2ForImageClassification", VIT),
    "DINOv2 with registers": ("hugging_face", "Dinov2WithRegistersModel", VIT),
    "SigLIP": ("image_towers", "SiglipModel", TOWERS),
    "SigLIP's image tower": ("image_towers", "SiglipVisionModel", VIT),
    "SigLIP's classifier": (
        "image_towers",
        "SiglipForImageClassification",
        TOWERS,
    ),
    "CLIP": ("image_towers", "CLIPModel", TOWERS),
    "CLIP's image tower": ("image_towers", "CLIPVisionModel", VIT),
    "DINOv3": ("dinov3", "DINOv3ViTModel", VIT),
    "EoMT": (
        "eomt",
        "EomtForUniversalSegmentation",
        {**VIT, "num_blocks": 1, "num_upscale_blocks": 1},
    ),
    "DETR": ("detr", "DetrForObjectDetection", DETR),
    "DETR panoptic": ("detr", "DetrForSegmentation", DETR),
    "RF-DETR": ("rf_detr", "RfDetrForObjectDetection", RF_DETR),
    "RF-DETR with masks": (
        "rf_detr",
        "RfDetrForInstanceSegmentation",
        RF_DETR,
    ),
    "LW-DETR": ("rf_detr by model_type", "LwDetrForObjectDetection", LW_DETR),
    "Table Transformer": ("detr", "TableTransformerForObjectDetection", DETR),
    "YOLOS": ("yolos", "YolosForObjectDetection", YOLOS),
    "ResNet": ("resnet", "ResNetModel", RESNET),
    "BEiT": ("lookalikes", "BeitModel", VIT),
    "MAE with decoder": ("lookalikes", "ViTMAEForPreTraining", VIT),
    "SigLIP 2 NaFlex": ("lookalikes", "Siglip2Model", NAFLEX),
    "MAE": ("hugging_face by model_type", "ViTMAEModel", VIT),
    "MSN": ("hugging_face by model_type", "ViTMSNModel", VIT),
    "I-JEPA": ("hugging_face by model_type", "IJepaModel", VIT),
    "MetaCLIP 2": ("image_towers by model_type", "MetaClip2Model", TOWERS),
    "EoMT of DINOv3": (
        "eomt by model_type",
        "EomtDinov3ForUniversalSegmentation",
        {**VIT, "num_blocks": 1, "num_upscale_blocks": 1},
    ),
}


def live(case):
    """Of the model: shapes as saved, names in memory, and the configuration."""
    import safetensors
    import transformers

    _, name, arguments = MODELS[case]
    model_class = getattr(transformers, name)
    if arguments is DETR:
        stages = ["stage1", "stage2"]
        backbone = transformers.ResNetConfig(**RESNET, out_features=stages)
        if name.endswith("Segmentation"):  # whose mask head reads four maps
            four = {"hidden_sizes": [8] * 4, "depths": [1] * 4}
            stages = [f"stage{i}" for i in range(1, 5)]
            backbone = transformers.ResNetConfig(
                **{**RESNET, **four}, out_features=stages
            )
        arguments = {**DETR, "backbone_config": backbone}
    model = model_class(model_class.config_class(**arguments))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = pathlib.Path(folder)
        with safetensors.safe_open(path / "model.safetensors", "np") as file:
            shapes = {
                x: list(file.get_slice(x).get_shape()) for x in file.keys()
            }
        config = json.loads((path / "config.json").read_text())
    return {
        "shapes": shapes,
        "in_memory": {k: list(x.shape) for k, x in model.state_dict().items()},
        "config": config,
    }


def stored():
    return json.loads(lzma.decompress(PATH.read_bytes()))


if __name__ == "__main__":
    text = json.dumps({case: live(case) for case in MODELS})
    PATH.write_bytes(lzma.compress(text.encode()))
