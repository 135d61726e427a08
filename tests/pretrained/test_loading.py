import hashlib
import json
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.models import build_vit
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from tests.pretrained import golden_weights

GOLDEN = np.load(golden_weights.GOLDEN / "timm.npz")
CASES = json.loads(str(GOLDEN["cases"]))
IMAGES = golden_weights.random_images((64, 64))
TINY = {
    "image_shape": (64, 64, 3),
    "hidden_dim": 24,
    "num_layers": 2,
    "num_heads": 3,
    "mlp_dim": 96,
}


@pytest.fixture
def folder(tmp_path):
    return golden_weights.write(tmp_path, **CASES["vit"])


def logits(model):
    return keras.ops.convert_to_numpy(model(IMAGES))


def test_a_new_head_begins_with_zeros_and_keeps_the_rest(folder, capsys):
    own = from_pretrained(folder)
    model = from_pretrained(folder, num_classes=7)
    report = capsys.readouterr().out
    assert "New, since the file has none that fit: head/kernel" in report
    assert "Left in the file: head.bias, head.weight" in report
    np.testing.assert_array_equal(logits(model), np.zeros((2, 7)))
    features = [
        keras.Model(x.input, x.get_layer("pooling").output)
        for x in (own, model)
    ]
    np.testing.assert_array_equal(*(logits(x) for x in features))


def test_the_same_number_of_classes_keeps_the_head(folder):
    model = from_pretrained(folder, num_classes=5, verbose=False)
    np.testing.assert_allclose(logits(model), GOLDEN["vit/0"], atol=1e-4)


def test_without_head_the_model_ends_in_features(folder, capsys):
    model = from_pretrained(folder, num_classes=0)
    assert model.output_shape == (None, 24)
    assert "Left in the file: head.bias" in capsys.readouterr().out


def test_arguments_of_build_vit_can_be_added(folder):
    model = from_pretrained(
        folder, stochastic_depth=0.3, dropout=0.1, name="mine", verbose=False
    )
    assert model.name == "mine"
    assert model.get_layer("encoder").block.stochastic_depth == 0.3
    np.testing.assert_allclose(logits(model), GOLDEN["vit/0"], atol=1e-4)


def test_pixels_are_normalized_as_in_the_training_of_the_weights(folder):
    config = CASES["vit"]["config"] | {
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    }
    (folder / "config.json").write_text(json.dumps(config))
    model = from_pretrained(folder, verbose=False)
    pixels = keras.Model(
        model.input, model.get_layer("normalize_pixels").output
    )
    expected = (IMAGES / 255 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]
    np.testing.assert_allclose(logits(pixels), expected, atol=1e-5)


def test_without_config_the_report_says_what_was_assumed(folder, capsys):
    (folder / "config.json").unlink()
    with pytest.raises(PretrainedError, match=r"Give `num_heads`"):
        from_pretrained(folder)
    model = from_pretrained(folder / "model.safetensors", num_heads=3)
    assert "assumed pixel_mean=127.5" in capsys.readouterr().out
    np.testing.assert_allclose(logits(model), GOLDEN["vit/0"], atol=1e-4)


def test_load_weights_fills_an_existing_model(folder):
    model = build_vit(5, **TINY)
    report = load_weights(model, folder)
    assert len(report.loaded) == len(model.weights)
    assert report.missing == report.unexpected == ()
    np.testing.assert_allclose(logits(model), GOLDEN["vit/0"], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 2}, "num_heads=3, not 2"),
        ({"activation": "relu"}, "activation='gelu', not 'relu'"),
        ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon"),
        ({"pixel_mean": 0.0}, r"pixel_mean=\(127.5, 127.5, 127.5\)"),
    ],
)
def test_settings_that_show_in_no_weight_are_compared(
    folder, arguments, message
):
    model = build_vit(5, **{**TINY, **arguments})
    with pytest.raises(PretrainedError, match=message):
        load_weights(model, folder)


def test_pixels_that_were_only_assumed_are_not_compared(folder):
    (folder / "config.json").unlink()
    report = load_weights(build_vit(5, **TINY, pixel_mean=0.0), folder)
    assert "assumed pixel_mean" in report.remarks[0]


def test_the_kernel_shows_the_number_of_channels(tmp_path):
    shapes = {k: tuple(v) for k, v in CASES["vit"]["shapes"].items()}
    shapes["patch_embed.proj.weight"] = (24, 1, 16, 16)
    weights = golden_weights.random_weights(shapes)
    path = tmp_path / "gray.safetensors"
    safetensors.numpy.save_file(weights, path)
    model = from_pretrained(path, num_heads=3, verbose=False)
    assert model.input_shape == (None, 64, 64, 1)


def test_load_weights_resizes_positions_and_says_so(folder):
    shape = {"image_shape": (96, 64, 3), "position_interpolation": "bilinear"}
    model = build_vit(5, **{**TINY, **shape})
    report = load_weights(model, folder)
    assert report.remarks[-1] == (
        "Positions were resized from 4 x 4 to 6 x 4 (bicubic_antialias)."
    )
    images = golden_weights.random_images((96, 64))
    np.testing.assert_allclose(model(images), GOLDEN["vit/1"], atol=1e-4)


def test_a_model_with_another_head_is_refused_and_not_changed(folder):
    model = build_vit(7, **TINY)
    before = model.get_weights()
    with pytest.raises(
        PretrainedError,
        match=r"head.weight makes a weight of shape \(24, 5\); the model's "
        r"head/kernel has \(24, 7\). Nothing was loaded. `new_head=True`",
    ):
        load_weights(model, folder)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    report = load_weights(model, folder, new_head=True)
    assert report.missing == ("head/kernel", "head/bias")
    assert set(report.unexpected) == {"head.weight", "head.bias"}
    np.testing.assert_array_equal(logits(model), np.zeros((2, 7)))


def test_a_model_without_head_ignores_the_file_s_head(folder):
    report = load_weights(build_vit(0, **TINY), folder)
    assert set(report.unexpected) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 3}, r"only the model 'vit' has: \['encoder/block"),
        ({"num_layers": 1}, r"only the file has: \['encoder/block_1/"),
        (
            {"mlp_dim": 48},
            r"encoder/block_0/feed_forward/layer/inner_projection",
        ),
        ({"num_register_tokens": 2}, "register_tokens/class_token"),
    ],
)
def test_a_model_of_another_shape_is_refused(folder, arguments, message):
    with pytest.raises(PretrainedError, match=message):
        load_weights(build_vit(5, **{**TINY, **arguments}), folder)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_read(folder, dtype):
    path = folder / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    import ml_dtypes

    dtype = {"bfloat16": ml_dtypes.bfloat16}.get(dtype, dtype)
    weights = {name: value.astype(dtype) for name, value in weights.items()}
    safetensors.numpy.save_file(weights, path)
    model = from_pretrained(folder, verbose=False)
    np.testing.assert_allclose(logits(model), GOLDEN["vit/0"], atol=0.1)


def test_the_file_must_have_the_digest(folder):
    content = (folder / "model.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    from_pretrained(folder, sha256=digest, verbose=False)
    with pytest.raises(PretrainedError, match="must have the digest sha256=0"):
        from_pretrained(folder, sha256="0" * 64)


def test_the_hub_is_asked_for_the_pinned_revision(folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def snapshot_download(name, revision, allow_patterns):
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    from_pretrained("hf://someone/vit", revision="abc", verbose=False)
    assert asked == [("someone/vit", "abc")]


def test_without_connection_the_error_gives_a_remedy(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(
        PretrainedError,
        match=r"hf://someone/vit \(revision main\) could not be fetched: "
        r"OSError: no route to host.*A folder",
    ):
        from_pretrained("hf://someone/vit")


def test_without_the_library_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PretrainedError, match="pip install huggingface-hub"):
        from_pretrained("hf://someone/vit")


def test_an_export_of_free_size_resizes_positions_in_its_graph(
    folder, tmp_path
):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exported by TensorFlow")
    import tensorflow as tf

    model = from_pretrained(folder, image_shape=(None, None, 3), verbose=False)
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    for i, size in enumerate([(64, 64), (96, 64)]):
        found = served.serve(golden_weights.random_images(size))
        np.testing.assert_allclose(found, GOLDEN[f"vit/{i}"], atol=1e-4)


def test_the_model_is_the_same_after_saving_and_loading(folder, tmp_path):
    model = from_pretrained(folder, image_shape=(None, None, 3), verbose=False)
    model.save(tmp_path / "vit.keras")
    again = keras.models.load_model(tmp_path / "vit.keras")
    np.testing.assert_array_equal(logits(model), logits(again))
