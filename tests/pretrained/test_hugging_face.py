"""Outputs equal to transformers', live, at random weights."""

import keras
import numpy as np
import pytest

from keras_vtr.pretrained import from_pretrained
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.hugging_face_folders import save_as_version_5

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
]

TINY = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
}
VIT = {**TINY, "intermediate_size": 40}
DINO = {**TINY, "mlp_ratio": 2}
TOWER = {key: x for key, x in VIT.items() if key != "num_labels"}
DINO_3 = {**TOWER, "num_register_tokens": 2}
TOWERS = {
    "vision_config": TOWER,
    "text_config": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "vocab_size": 30,
        "max_position_embeddings": 7,
    },
}
MODELS = {
    "ViT": ("ViTForImageClassification", VIT),
    "ViT, tanh GELU": (
        "ViTForImageClassification",
        {**VIT, "hidden_act": "gelu_pytorch_tanh"},
    ),
    "ViT with pooler": ("ViTModel", VIT),
    "DeiT": ("DeiTForImageClassification", VIT),
    "DeiT distilled": ("DeiTForImageClassificationWithTeacher", VIT),
    "DINOv2": ("Dinov2ForImageClassification", DINO),
    "DINOv2 without head": ("Dinov2Model", DINO),
    "DINOv2 with SwiGLU": ("Dinov2Model", {**DINO, "use_swiglu_ffn": True}),
    "DINOv2 with registers": (
        "Dinov2WithRegistersForImageClassification",
        DINO,
    ),
    "DINOv2 with registers, without head": ("Dinov2WithRegistersModel", DINO),
    "SigLIP": ("SiglipModel", TOWERS),
    "SigLIP, image tower": ("SiglipVisionModel", TOWER),
    "SigLIP with classifier": (
        "SiglipForImageClassification",
        {**TOWERS, "num_labels": 5},
    ),
    "CLIP": ("CLIPModel", {**TOWERS, "projection_dim": 20}),
    "CLIP, image tower": ("CLIPVisionModel", TOWER),
    "CLIP, image tower with projection": (
        "CLIPVisionModelWithProjection",
        {**TOWER, "projection_dim": 20, "hidden_act": "gelu"},
    ),
    "DINOv3": ("DINOv3ViTModel", DINO_3),
    "DINOv3, gated": (
        "DINOv3ViTModel",
        {**DINO_3, "use_gated_mlp": True, "hidden_act": "silu"},
    ),
    "DINOv3 without biases": (
        "DINOv3ViTModel",
        {
            **TOWER,
            **dict.fromkeys(("query_bias", "value_bias", "mlp_bias"), False),
            "rope_theta": 50.0,
        },
    ),
}
SAME_IN_BOTH_VERSIONS = ("CLIP", "SigLIP")


def make(name, arguments):
    """A model of transformers with random weights everywhere."""
    torch.manual_seed(3)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**arguments)).eval()
    with torch.no_grad():
        for path, weight in model.named_parameters():
            weight.normal_(0.0, 0.2)
            if "norm" in path and path.endswith("weight"):
                weight.add_(1.0)
    return model


def theirs(model, images):
    """Logits; of a model without head its pooled output."""
    mean = np.array([0.4, 0.5, 0.6])
    pixels = (images / 255 - mean) / np.array([0.2, 0.3, 0.4])
    pixels = torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)
    options = {}
    if "dino" not in model.config.model_type:
        options["interpolate_pos_encoding"] = True
    embed = getattr(model, "get_image_features", model)
    with torch.no_grad():
        output = embed(pixel_values=pixels, **options)
    keys = ("logits", "image_embeds", "pooler_output")
    return next(output[key] for key in keys if key in output).numpy()


@pytest.mark.parametrize("case", MODELS)
def test_outputs_equal_theirs(case, tmp_path, rng):
    model = make(*MODELS[case])
    save(model, tmp_path)
    free = from_pretrained(tmp_path, image_shape=(None, None, 3))
    for shape in ((32, 32), (40, 24), (56, 64)):
        images = rng.uniform(0, 255, size=(2, *shape, 3)).astype("float32")
        expected = theirs(model, images)
        assert np.abs(expected).max() > 0.1
        fixed = from_pretrained(tmp_path, image_shape=(*shape, 3))
        for ours in (fixed, free):
            found = keras.ops.convert_to_numpy(ours(images))
            np.testing.assert_allclose(
                found, expected, atol=1e-4, rtol=0, err_msg=str(shape)
            )
    if case.startswith(SAME_IN_BOTH_VERSIONS):
        return
    save_as_version_5(model, tmp_path)
    again = from_pretrained(tmp_path, image_shape=(None, None, 3))
    found = keras.ops.convert_to_numpy(again(images))
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
