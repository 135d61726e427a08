"""YOLOS's outputs equal to transformers', live, at random weights."""

import json

import keras
import numpy as np
import pytest

from keras_vtr.losses import HungarianLoss
from keras_vtr.models import build_vit
from keras_vtr.models import build_yolos
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.layer_checks import to_numpy
from tests.parity import torch
from tests.parity import transformers
from tests.pretrained.detr_parity import assert_equal
from tests.pretrained.detr_parity import padded_batch
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.hugging_face_folders import save_as_version_5

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
]

SIDES = (64, 96)


def make(between=True, **change):
    """A YOLOS of transformers with random weights everywhere."""
    torch.manual_seed(3)
    config = {
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "image_size": list(SIDES),
        "patch_size": 16,
        "num_detection_tokens": 7,
        "num_labels": 5,
        "use_mid_position_embeddings": between,
        **change,
    }
    model = transformers.YolosForObjectDetection(
        transformers.YolosConfig(**config)
    ).eval()
    with torch.no_grad():
        for path, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.normal_(float("norm" in path), 0.2)
            elif "token" in path or "position" in path:
                weight.normal_(0.0, 0.5)
            else:
                weight.normal_(0.0, 1.5 * weight[0].numel() ** -0.5)
    return model


def their_outputs(model, images):
    pixels = theirs_pixels(images)
    with torch.no_grad():
        outputs = model(pixels)
    return {
        "logits": outputs.logits.numpy(),
        "boxes": outputs.pred_boxes.numpy(),
    }


def theirs_pixels(images):
    pixels = (images / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]
    return torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("writer", [save, save_as_version_5])
def test_the_own_size_and_others(writer, between, tmp_path, rng):
    model = make(between)
    ours = from_pretrained(writer(model, tmp_path))
    for sides in (SIDES, (96, 64), (32, 160), (128, 144)):
        images = rng.uniform(0, 255, (2, *sides, 3)).astype("float32")
        assert_equal(ours(images), their_outputs(model, images))


def test_positions_are_resized_once_for_an_image_shape(tmp_path, rng, capsys):
    model = make()
    ours = from_pretrained(save(model, tmp_path), image_shape=(80, 48, 3))
    report = capsys.readouterr().out
    assert report.count("resized from 4 x 6 to 5 x 3 (bicubic)") == 1
    images = rng.uniform(0, 255, (1, 80, 48, 3)).astype("float32")
    assert_equal(ours(images), their_outputs(model, images))
    encoder = ours.get_layer("vit").get_layer("vit_encoder")
    assert [x.grid for x in encoder.positions] == [(5, 3)] * 2


def test_detections_don_t_depend_on_padding(tmp_path, rng):
    model = make()
    ours = from_pretrained(save(model, tmp_path), padding="exact")
    sides = ((96, 64), (48, 112))
    images, mask = padded_batch(rng, sides)
    outputs = ours({"images": images, "padding_mask": mask})
    for i, (height, width) in enumerate(sides):
        alone = their_outputs(model, images[i : i + 1, :height, :width])
        found = {key: to_numpy(x)[i : i + 1] for key, x in outputs.items()}
        assert_equal(found, alone)


def test_the_loss_is_theirs(tmp_path, rng):
    model = make()
    ours = from_pretrained(save(model, tmp_path))
    images = rng.uniform(0, 255, (2, *SIDES, 3)).astype("float32")
    labels = np.array([[1, 4, -1], [0, 2, 3]], "int32")
    boxes = rng.uniform(0.2, 0.5, (2, 3, 4)).astype("float32")
    targets = [
        {
            "class_labels": torch.tensor(x[x >= 0]).long(),
            "boxes": torch.tensor(y[x >= 0]),
        }
        for x, y in zip(labels, boxes, strict=True)
    ]
    expected = model(theirs_pixels(images), labels=targets).loss
    y_true = {"labels": labels, "boxes": boxes}
    found = HungarianLoss()(y_true, ours(images))
    np.testing.assert_allclose(float(found), float(expected), rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_published_sizes(size, tmp_path, rng):
    width, between = {"tiny": (192, False), "small": (384, True)}[size]
    sides = {"tiny": [800, 1333], "small": [512, 864]}[size]
    model = make(
        between,
        hidden_size=width,
        num_hidden_layers=12,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        image_size=sides,
        num_detection_tokens=100,
        num_labels=91,
    )
    ours = from_pretrained(save(model, tmp_path))
    images = rng.uniform(0, 255, (1, 256, 320, 3)).astype("float32")
    assert_equal(ours(images), their_outputs(model, images))
    assert ours.count_params() == build_yolos(91, size).count_params()


def test_new_classes_fewer_queries_and_names(tmp_path, rng, capsys):
    model = make()
    save(model, tmp_path)
    ours = from_pretrained(tmp_path, num_classes=3, num_queries=4)
    assert "Of the queries the first 4 were kept." in capsys.readouterr().out
    assert ours.output["logits"].shape == (None, 4, 4)
    bias = ours.get_layer("class_head").bias
    np.testing.assert_allclose(to_numpy(bias), [0, 0, 0, np.log(3)])
    hidden = [
        to_numpy(x.get_layer("class_head_1").kernel)
        for x in (ours, from_pretrained(tmp_path))
    ]
    np.testing.assert_array_equal(*hidden)  # only the last layer is new
    with pytest.raises(PretrainedError, match="`num_queries` must be 7 or le"):
        from_pretrained(tmp_path, num_queries=8)


def test_coco_s_classes_and_those_of_config_json_have_names(tmp_path):
    save(make(num_labels=91), tmp_path)
    names = from_pretrained(tmp_path).class_names
    assert names[1] == "person" and names[0] is None
    labels = {i: f"digit {i}" for i in range(5)}
    save(make(id2label=labels, num_labels=5), tmp_path)
    assert from_pretrained(tmp_path).class_names == tuple(labels.values())


def test_weights_are_loaded_into_a_model_of_the_same_settings(tmp_path):
    model = make(between=False)
    save(model, tmp_path)
    options = {
        "patch_size": 16,
        "image_shape": (None, None, 3),
        "position_grid": (4, 6),
        "position_interpolation": "bicubic",
        "hidden_dim": 24,
        "num_layers": 3,
        "num_heads": 3,
        "mlp_dim": 40,
        "layer_norm_epsilon": 1e-12,
        "pixel_mean": [255 * x for x in (0.4, 0.5, 0.6)],
        "pixel_std": [255 * x for x in (0.2, 0.3, 0.4)],
    }
    ours = build_yolos(5, build_vit(0, **options), num_queries=7)
    assert load_weights(ours, tmp_path).missing == ()
    options["num_heads"] = 2
    other = build_yolos(5, build_vit(0, **options), num_queries=7)
    with pytest.raises(PretrainedError, match="num_heads=3, not 2"):
        load_weights(other, tmp_path)
    with pytest.raises(PretrainedError, match="that only the"):
        load_weights(keras.Sequential([keras.Input((3,))]), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "swish"}, "`hidden_act` must be one of"),
        ({"use_mid_position_embeddings": False}, "must be True"),
        ({"num_detection_tokens": 9}, "`num_detection_tokens` must be 7"),
        ({"image_size": [64, 64]}, "makes 4 x 4 patches"),
        ({"qkv_bias": False}, "`qkv_bias` must be True"),
        ({"model_type": "vit"}, "`model_type` must be one of"),
        ({"what": 1}, "`what`=1"),
    ],
)
def test_what_is_not_computed_is_refused(change, message, tmp_path):
    save(make(), tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | change))
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(tmp_path)
