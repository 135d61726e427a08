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
}


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
    options = {"output_hidden_states": False}
    if "dinov2" not in model.config.model_type:
        options["interpolate_pos_encoding"] = True
    with torch.no_grad():
        output = model(pixel_values=pixels, **options)
    found = getattr(output, "logits", None)
    return (output.pooler_output if found is None else found).numpy()


@pytest.mark.parametrize("shape", [(32, 32), (40, 24), (56, 64)], ids=str)
@pytest.mark.parametrize("writer", [save, save_as_version_5])
@pytest.mark.parametrize(("name", "arguments"), MODELS.values(), ids=MODELS)
def test_outputs_equal_theirs(name, arguments, writer, shape, tmp_path, rng):
    model = make(name, arguments)
    writer(model, tmp_path)
    images = rng.uniform(0, 255, size=(2, *shape, 3)).astype("float32")
    expected = theirs(model, images)
    for image_shape in ((*shape, 3), (None, None, 3)):
        ours = from_pretrained(tmp_path, image_shape=image_shape)
        found = keras.ops.convert_to_numpy(ours(images))
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
