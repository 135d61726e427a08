"""RF-DETR's files: outputs equal to transformers', and what is refused."""

import json
import types

import numpy as np
import pytest

from keras_vtr.models import add_groups
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import add_pretrained_groups
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from keras_vtr.pretrained.configuration import Configuration
from keras_vtr.pretrained.detr.coco_classes import coco_names
from keras_vtr.pretrained.rf_detr.keys import _read_names
from tests.layer_checks import to_numpy
from tests.parity import MARKS
from tests.parity import torch
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.hugging_face_folders import save_as_version_5
from tests.pretrained.rf_detr_models import NUM_GROUPS
from tests.pretrained.rf_detr_models import NUM_QUERIES
from tests.pretrained.rf_detr_models import make_rf_detr
from tests.pretrained.rf_detr_models import pixels_of

pytestmark = MARKS
DETECTION = "RfDetrForObjectDetection"
SEGMENTATION = "RfDetrForInstanceSegmentation"
# Of "nano", ..., "base" and "seg_nano" the windows and the taps; and a mask
# head's patches.
KINDS = {
    "taps after the last block": {
        "num_hidden_layers": 4,
        "out_indices": [2, 3, 4],
    },
    "taps before the last block": {"out_indices": [1, 3, 4]},
    "4 x 4 windows": {"num_windows": 4},
    "no windows": {"num_windows": 1},
}


# Of the authors' training.
SETTINGS = {
    "out_feature_indexes": [2, 3, 4],
    "num_windows": 2,
    "sa_nheads": 4,
    "ca_nheads": 8,
}


def check_outputs(model, folder, images, image_shape=None):
    with torch.no_grad():
        theirs = model(pixels_of(images))
    ours = from_pretrained(folder, image_shape=image_shape, verbose=False)
    found = ours(images)
    expected = {"sigmoid_logits": theirs.logits, "boxes": theirs.pred_boxes}
    if hasattr(theirs, "pred_masks"):
        expected["masks"] = theirs.pred_masks
    for key, value in expected.items():
        value = value.numpy()
        assert np.ptp(value) > 0.1
        tolerance = 1e-4 * max(1, abs(value).max())
        np.testing.assert_allclose(
            to_numpy(found[key]), value, atol=tolerance, rtol=0
        )


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_equal_theirs(kind, tmp_path, rng):
    model = make_rf_detr(backbone=KINDS[kind])
    save(model, tmp_path)
    images = rng.uniform(0, 255, size=(2, 64, 64, 3)).astype("float32")
    check_outputs(model, tmp_path, images)


@pytest.mark.parametrize("shape", [(96, 96, 3), (None, None, 3)])
@pytest.mark.parametrize("name", [DETECTION, SEGMENTATION])
def test_other_sizes_equal_theirs(name, shape, tmp_path, rng):
    model = make_rf_detr(name)
    save_as_version_5(model, tmp_path)
    images = rng.uniform(0, 255, size=(1, 96, 96, 3)).astype("float32")
    check_outputs(model, tmp_path, images, shape)


@pytest.mark.long
@pytest.mark.parametrize("size", ["nano", "small", "medium", "large", "base"])
def test_outputs_of_paper_sizes_equal_theirs(size, tmp_path, rng):
    from keras_vtr.models.detr.rf_detr_sizes import SIZES

    options = SIZES[size]
    side = options["image_side"]
    backbone = {
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "mlp_ratio": 4,
        "image_size": 518 if size == "base" else side,
        "patch_size": options["patch_size"],
        "num_windows": options["num_windows"],
        "out_indices": [x + 1 for x in options["feature_blocks"]],
    }
    model = make_rf_detr(
        backbone=backbone,
        d_model=256,
        decoder_ffn_dim=2048,
        decoder_layers=options["num_decoder_layers"],
        decoder_self_attention_heads=8,
        decoder_cross_attention_heads=16,
        num_queries=options["num_queries"],
        num_labels=91,
    )
    save(model, tmp_path)
    images = rng.uniform(0, 255, size=(1, side, side, 3)).astype("float32")
    check_outputs(model, tmp_path, images, (side, side, 3))


@pytest.fixture(scope="module")
def theirs():
    return make_rf_detr()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    return save(theirs, tmp_path_factory.mktemp("rf_detr"))


def authors_tensors(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def write_as_authors(folder, path, **settings):
    """As their training program saves it."""
    content = {"model": authors_tensors(folder)}
    if settings:
        content["args"] = types.SimpleNamespace(**settings)
    torch.save(content, path)
    return path


def test_the_authors_file_has_its_settings_beside_the_weights(
    folder, tmp_path, capsys
):
    path = write_as_authors(
        folder,
        tmp_path / "checkpoint.pth",
        **SETTINGS,
        resolution=64,
        class_names=list("abcd"),
        patch_size=8,
        positional_encoding_size=8,
        lr=1e-4,
    )
    model = from_pretrained(path)
    assert model.input_shape == (None, 64, 64, 3)
    # The head has a row more, which is the first or the last one.
    assert model.class_names is None
    assert (
        "class 0 (rfdetr 1.6 and later) or class 1" in capsys.readouterr().out
    )
    names = list("abcde")
    write_as_authors(folder, path, **{**SETTINGS, "class_names": names})
    assert from_pretrained(path, verbose=False).class_names == tuple(names)
    for change, message in (
        ({"patch_size": 16}, "`args.patch_size` must be 8"),
        ({"projector_scale": ["P3", "P5"]}, "`args.projector_scale` must be"),
        ({"dec_n_points": 4}, "`args.dec_n_points` must be 2"),
    ):
        write_as_authors(folder, path, **{**SETTINGS, **change})
        with pytest.raises(PretrainedError, match=message):
            from_pretrained(path)


def test_names_of_coco_are_known_by_their_number():
    names = coco_names(91)
    for given, expected in ((names[1:4], names), (["cat", "mine"], None)):
        arguments = {"num_classes": 91, "class_names": names}
        settings = Configuration({"class_names": list(given)}, "args")
        assert bool(_read_names(settings, arguments)) == (expected is None)
        assert arguments["class_names"] == expected


def test_without_settings_no_size_fits_and_they_are_asked_for(folder, tmp_path):
    path = write_as_authors(folder, tmp_path / "weights.pth")
    with pytest.raises(PretrainedError, match="no file tells the windows"):
        from_pretrained(path)


def test_a_new_head_keeps_everything_else(folder, rng):
    old = from_pretrained(folder, verbose=False)
    new = from_pretrained(
        folder, num_classes=2, class_names=["a", "b"], verbose=False
    )
    assert new.output["sigmoid_logits"].shape == (None, NUM_QUERIES, 2)
    assert new.class_names == ("a", "b")
    values = {x.path: to_numpy(x) for x in old.weights}
    for weight in new.weights:
        if "class_head" not in weight.path:
            np.testing.assert_array_equal(weight, values[weight.path])
    bias = to_numpy(new.get_layer("class_head").bias)
    np.testing.assert_allclose(bias, -np.log(99), rtol=1e-6)


def test_fewer_queries_are_the_first(folder):
    model = from_pretrained(folder, num_queries=3, verbose=False)
    assert model.output["boxes"].shape == (None, 3, 4)
    with pytest.raises(
        PretrainedError, match="`num_queries` must be 7 or less"
    ):
        from_pretrained(folder, num_queries=8)
    with pytest.raises(PretrainedError, match="`padding` must be None for an"):
        from_pretrained(folder, padding="exact")


def test_further_groups_get_their_own_weights(folder):
    model = from_pretrained(folder, num_classes=2, verbose=False)
    groups = add_groups(model, NUM_GROUPS - 1)
    report = load_weights(groups, folder, new_head=True)
    assert "group_queries/queries" in report.loaded
    assert "group_selection_1/moves" in report.loaded
    assert "group_selection_1/class_head/kernel" in report.missing
    tensor = authors_tensors(folder)["query_feat.weight"].numpy()
    queries = to_numpy(groups.get_layer("group_queries").weights[0])
    np.testing.assert_array_equal(queries[0], tensor[NUM_QUERIES:])


def test_groups_can_be_added_to_what_was_trained(folder):
    """With fewer queries, too, and without a change of the model."""
    model = from_pretrained(folder, num_classes=2, num_queries=3, verbose=False)
    for weight in model.weights:
        weight.assign(weight + 1.0)
    before = model.get_weights()
    groups = add_pretrained_groups(model, folder)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)
    assert groups.output["group_boxes"].shape == (None, 3, 2 * 3, 4)
    tensor = authors_tensors(folder)["query_feat.weight"].numpy()
    queries = to_numpy(groups.get_layer("group_queries").weights[0])
    rows = [NUM_QUERIES * group + i for group in (1, 2) for i in range(3)]
    np.testing.assert_array_equal(queries[0], tensor[rows])


def test_groups_keep_the_heads_of_the_file_s_classes(folder):
    tensors = authors_tensors(folder)
    model = from_pretrained(folder, verbose=False)
    groups = add_pretrained_groups(model, folder)
    for i in range(NUM_GROUPS - 1):
        head = groups.get_layer(f"group_selection_{i}").class_head
        name = f"transformer.enc_out_class_embed.{i + 1}.weight"
        np.testing.assert_array_equal(to_numpy(head.kernel), tensors[name].T)


def test_a_mask_head_can_be_new(folder):
    model = from_pretrained(folder, masks=True, verbose=False)
    assert model.output["masks"].shape == (None, NUM_QUERIES, 16, 16)


def change_config(folder, tmp_path, part=None, **change):
    """A copy of the folder with another config.json."""
    config = json.loads((folder / "config.json").read_text())
    (config if part is None else config[part]).update(change)
    for name in ("model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (None, {"model_type": "lw_detr"}, "holds an LW-DETR"),
        (None, {"num_feature_levels": 2}, "`num_feature_levels` must be 1"),
        (None, {"decoder_activation_function": "gelu"}, "must be 'relu'"),
        (None, {"decoder_cross_attention_heads": 4}, "twice as many heads"),
        (None, {"new_key": 3}, "keys that are not known"),
        ("backbone_config", {"hidden_act": "relu"}, "must be 'gelu'"),
        ("backbone_config", {"image_size": 72}, "makes 9 x 9 patches"),
    ],
)
def test_what_is_not_computed_is_refused(
    part, change, message, folder, tmp_path
):
    path = change_config(folder, tmp_path, part, **change)
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(path)


def test_weights_of_other_windows_or_taps_are_refused(folder, tmp_path):
    model = from_pretrained(folder, verbose=False)
    for change, message in (
        ({"num_windows": 4}, "num_windows=4, not 2"),
        ({"out_indices": [1, 3, 4]}, "feature_blocks="),
    ):
        path = change_config(folder, tmp_path, "backbone_config", **change)
        with pytest.raises(PretrainedError, match=message):
            load_weights(model, path)


def test_relatives_are_refused_by_name(folder, tmp_path):
    tensors = authors_tensors(folder)
    patches = (
        "backbone.0.encoder.encoder.embeddings.patch_embeddings.projection."
        "weight"
    )
    changes = {
        "a keypoint model": {"keypoint_head.weight": torch.zeros(3, 3)},
        "PML-1.0": {patches: torch.zeros(24, 3, 20, 20)},
        "several sizes": {
            "backbone.0.projector.stages.1.0.cv1.conv.weight": torch.zeros(3, 3)
        },
    }
    for message, change in changes.items():
        torch.save({**tensors, **change}, tmp_path / "weights.pth")
        with pytest.raises(PretrainedError, match=message):
            from_pretrained(tmp_path / "weights.pth")
    lacking = {k: x for k, x in tensors.items() if k != patches}
    torch.save(lacking, tmp_path / "weights.pth")
    with pytest.raises(PretrainedError, match="holds an LW-DETR"):
        from_pretrained(tmp_path / "weights.pth")


def test_nan_and_lacking_tensors_are_refused(folder, tmp_path):
    tensors = authors_tensors(folder)
    name = "transformer.decoder.layers.0.cross_attn.sampling_offsets.bias"
    for value, message in ((None, "lacks"), (np.nan, "NaN or infinity")):
        change = dict(tensors)
        if value is None:
            del change[name]
        else:
            change[name] = torch.full_like(tensors[name], value)
        content = {"model": change, "args": types.SimpleNamespace(**SETTINGS)}
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(PretrainedError, match=message):
            from_pretrained(tmp_path / "weights.pth")
