"""Small RF-DETRs of transformers, with random weights everywhere."""

NUM_QUERIES = 7
NUM_CLASSES = 5
NUM_GROUPS = 3
BACKBONE = {
    "model_type": "rf_detr_dinov2",
    "hidden_size": 24,
    "num_hidden_layers": 5,
    "num_attention_heads": 3,
    "image_size": 64,
    "patch_size": 8,
    "mlp_ratio": 2,
    "num_windows": 2,
    "out_indices": [2, 3, 4],
}
TINY = {
    "d_model": 32,
    "decoder_ffn_dim": 40,
    "decoder_layers": 2,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 8,
    "decoder_n_points": 2,
    "num_queries": NUM_QUERIES,
    "group_detr": NUM_GROUPS,
    "num_labels": NUM_CLASSES,
    "dropout": 0.0,
    "intermediate_size": 128,
}


def make_rf_detr(name="RfDetrForObjectDetection", backbone=None, **change):
    import torch
    import transformers

    torch.manual_seed(3)
    config = transformers.RfDetrConfig(
        backbone_config={**BACKBONE, **(backbone or {})}, **{**TINY, **change}
    )
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for path, weight in model.named_parameters():
            weight.normal_(0.0, 0.2)
            if "norm" in path and path.endswith("weight"):
                weight.add_(1.0)
    return model


def pixels_of(images):
    """As `hugging_face_folders.save` has it normalized."""
    import numpy as np
    import torch

    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    pixels = (images / 255 - mean) / std
    return torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)
