"""Table Transformer's outputs equal to transformers', at random weights."""

import json

import numpy as np
import pytest

from keras_vtr.models import build_detr
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.parity import torch
from tests.parity import transformers
from tests.pretrained.detr_parity import SMALL
from tests.pretrained.detr_parity import assert_equal
from tests.pretrained.detr_parity import authors_names
from tests.pretrained.detr_parity import padded_batch
from tests.pretrained.detr_parity import randomize
from tests.pretrained.detr_parity import save_with_timm_names
from tests.pretrained.detr_parity import theirs
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.hugging_face_folders import save_as_version_5

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
]

TINY_RESNET = {
    "depths": [1, 2, 1, 2],
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 32, 64],
}
R18 = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}
# As the folders on the hub have it.
HUB = {
    "model_type": "table-transformer",
    "backbone": "resnet18",
    "backbone_config": None,
    "use_timm_backbone": True,
    "use_pretrained_backbone": True,
    "auxiliary_loss": False,
    "classifier_dropout": 0.0,
    "dilation": False,
    "eos_coefficient": 0.4,
    "max_position_embeddings": 1024,
    "num_channels": 3,
    "position_embedding_type": "sine",
    "scale_embedding": False,
    "d_model": 32,
    "num_queries": 7,
    "num_hidden_layers": 2,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "id2label": {"0": "table", "1": "table rotated"},
}


def make(resnet=TINY_RESNET, **config):
    torch.manual_seed(3)
    stages = [f"stage{i}" for i in range(1, 5)]
    backbone = transformers.ResNetConfig(
        **resnet, layer_type="basic", out_features=stages
    )
    model = transformers.TableTransformerForObjectDetection(
        transformers.TableTransformerConfig(
            backbone_config=backbone,
            use_timm_backbone=False,
            **{**SMALL, **config},
        )
    ).eval()
    with torch.no_grad():
        randomize(model)
    return model


@pytest.mark.parametrize(
    "writer", [save, save_as_version_5, save_with_timm_names]
)
def test_all_kinds_of_names_with_and_without_padding(writer, tmp_path, rng):
    model = make()
    images, mask = padded_batch(rng)
    ours = from_pretrained(writer(model, tmp_path), padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, theirs(model, images, mask))
    unpadded = theirs(model, images, np.ones_like(mask))
    assert_equal(from_pretrained(tmp_path)(images), unpadded)


def test_the_published_size(tmp_path, rng):
    model = make(R18, d_model=256, encoder_layers=6, decoder_layers=6)
    images, mask = padded_batch(rng)
    ours = from_pretrained(save(model, tmp_path), padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, theirs(model, images, mask))


def test_the_authors_files(tmp_path, rng):
    model = make()
    path = tmp_path / "pubtables1m.pth"
    torch.save(authors_names(model), path)
    images, mask = padded_batch(rng)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = theirs(model, images, mask, mean, std)
    ours = from_pretrained(path, padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, expected)


def test_the_folders_on_the_hub_are_read_key_by_key(tmp_path):
    save_with_timm_names(make(num_labels=2), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(HUB))
    sizes = {"size": {"longest_edge": 1000, "shortest_edge": 800}}
    pixels = json.loads((tmp_path / "preprocessor_config.json").read_text())
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**pixels, **sizes, "max_size": 1000}))
    ours = from_pretrained(tmp_path, num_queries=4)
    assert ours.class_names == ("table", "table rotated")
    assert ours.output["logits"].shape == (None, 4, 3)
    assert ours.get_layer("encoder").block.normalize_first
    for change, message in (
        ({"model_type": "detr"}, "`model_type` must be 'table-transformer'"),
        ({"auxiliary_loss": True}, "`auxiliary_loss` must be False"),
        ({"backbone": "resnetblur18"}, "`backbone` must be a plain ResNet"),
        ({"what": 1}, "`what`=1"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**HUB, **change}))
        with pytest.raises(PretrainedError, match=message):
            from_pretrained(tmp_path)


def test_it_is_loaded_into_a_model_of_ours_with_a_new_head(tmp_path):
    model = make(R18, d_model=64)
    options = {
        "hidden_dim": 64,
        "num_queries": 7,
        "mlp_dim": 48,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "normalize_first": True,
        "pixel_mean": [255 * x for x in (0.4, 0.5, 0.6)],
        "pixel_std": [255 * x for x in (0.2, 0.3, 0.4)],
    }
    ours = build_detr(3, backbone="resnet18", **options)
    report = load_weights(ours, save(model, tmp_path), new_head=True)
    assert report.missing == ("class_head/kernel", "class_head/bias")
    other = build_detr(5, backbone="resnet34", **options)
    with pytest.raises(PretrainedError, match="that only the model"):
        load_weights(other, tmp_path)
