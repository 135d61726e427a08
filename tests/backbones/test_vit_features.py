"""A ViT as a detector's backbone: chosen blocks, windows, maps of sizes."""

import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_vit_backbone
from keras_vtr.layers import TransformerEncoder
from keras_vtr.models import build_detr
from keras_vtr.pretrained import from_pretrained
from tests.layer_checks import to_numpy
from tests.pretrained.hugging_face_folders import save
from tests.tiny_models import pixels
from tests.tiny_models import randomize
from tests.tiny_models import tiny_vit

POSITIONS = ("none", "learned_1d", "learned_2d", "sine", "rotary")
WINDOWS = {
    "feature_blocks": (0, 2),
    "window_size": (2, 3),
    "global_blocks": (1,),
}


def many_leading(**change):
    """As DINOv2 with registers, with 3 x 4 patches of 8 and 4 blocks."""
    config = {"num_layers": 4, "num_register_tokens": 3, "layer_scale": 0.5}
    return randomize(tiny_vit(num_heads=3, **config | change))


def detector(vit, **change):
    options = {"size": "small", "hidden_dim": 8, "num_heads": 2, **change}
    return build_detr(
        3, backbone=vit, pixel_mean=0.0, pixel_std=255.0, **options
    )


@pytest.mark.parametrize("position", POSITIONS)
def test_padding_changes_no_map(position, rng):
    """Of an image that no window, patch or map divides, with any positions."""
    vit = many_leading(position=position)
    backbone = build_vit_backbone(
        vit, padding_mask=True, scales=(4, 2, 1, 0.5), **WINDOWS
    )
    image = rng.normal(size=(1, 30, 41, 3)).astype("float32")
    mask = np.ones((1, 30, 41), bool)
    alone = backbone({"images": image, "padding_mask": mask})
    more = ((0, 0), (0, 23), (0, 31))
    batch = np.pad(image, (*more, (0, 0)), constant_values=9.0)
    mask = np.pad(mask, more)
    among = backbone({"images": batch, "padding_mask": mask})
    for ours, expected in zip(
        among["feature_maps"], alone["feature_maps"], strict=True
    ):
        rows, columns = expected.shape[1:3]
        found = to_numpy(ours)[:, :rows, :columns]
        np.testing.assert_allclose(found, to_numpy(expected), atol=1e-4)
    assert to_numpy(alone["padding_mask"]).all()
    assert alone["padding_mask"].shape == (1, 2, 3)
    padding = to_numpy(among["padding_mask"])
    assert padding[:, :2, :3].all() and padding.sum() == 6


def test_one_window_changes_nothing(rng):
    vit = many_leading(position="rotary")
    images = pixels(rng, 2, 37, 50, 3) / 255
    expected = build_vit_backbone(vit)(images)
    found = build_vit_backbone(vit, window_size=9)(images)
    np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-4)


def test_features_of_a_block_are_its_tokens_after_the_norm(rng):
    vit = many_leading()
    images = pixels(rng, 2, 24, 32, 3) / 127.5 - 1
    found = to_numpy(build_vit_backbone(vit, feature_blocks=(0, 1))(images))
    encoder = vit.get_layer("encoder")
    tokens = keras.Model(vit.input, encoder.input)((images + 1) * 127.5)
    for i in range(2):
        tokens = encoder.blocks[i](tokens)
        patches = to_numpy(encoder.output_norm(tokens))[:, 4:]
        np.testing.assert_allclose(
            found[..., 12 * i : 12 * (i + 1)],
            patches.reshape(2, 3, 4, 12),
            atol=1e-4,
        )


def test_the_weights_have_the_paths_of_a_plain_copy(tmp_path, rng):
    vit = many_leading(position="rotary")
    plain = build_vit_backbone(vit)
    backbone = build_vit_backbone(vit, **WINDOWS, scales=(2, 1))
    paths = {x.path: to_numpy(x) for x in plain.weights}
    new = [x.path for x in backbone.weights if x.path not in paths]
    assert {x.split("/")[0] for x in new} == {"vit_pyramid"}
    assert not any("/block_3/" in x.path for x in backbone.weights)
    for weight in backbone.weights:
        if weight.path not in new:
            np.testing.assert_array_equal(weight, paths[weight.path])
    backbone.save(tmp_path / "backbone.keras")
    again = keras.models.load_model(tmp_path / "backbone.keras")
    assert [x.path for x in again.weights] == [x.path for x in backbone.weights]
    images = pixels(rng, 1, 19, 34, 3) / 255
    for ours, theirs in zip(backbone(images), again(images), strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


@pytest.mark.parametrize(
    ("scales", "shapes"),
    [
        ((2,), (None, 12, 16, 6)),
        ([2, 0.5], [(None, 12, 16, 6), (None, 3, 4, 12)]),
    ],
)
def test_maps_of_several_sizes_come_from_the_one(scales, shapes):
    backbone = build_vit_backbone(many_leading(), (48, 64, 3), scales=scales)
    assert backbone.output_shape == shapes


@pytest.mark.parametrize("padding", [None, "published", "exact"])
def test_a_detector_encodes_the_last_map_and_its_masks_are_fine(padding, rng):
    backbone = build_vit_backbone(
        many_leading(),
        padding_mask=padding == "exact",
        scales=(2, 1),
        **WINDOWS,
    )
    detr = detector(
        backbone, padding=padding, masks=True, hidden_dim=16, num_heads=8
    )
    images = pixels(rng, 1, 30, 41, 3)
    inputs = {"images": images, "padding_mask": np.ones((1, 30, 41), bool)}
    outputs = detr(images if padding is None else inputs)
    assert outputs["masks"].shape[2:] == (8, 12)
    assert all(np.isfinite(to_numpy(x)).all() for x in outputs.values())
    with pytest.raises(ValueError, match="Or give the ViT itself"):
        build_detr(3, size="small", backbone=backbone)


def test_relative_positions_are_refused_within_windows(rng):
    vit = many_leading(position="relative")
    with pytest.raises(
        ValueError, match="`num_windows` must be None for a ViT"
    ):
        build_vit_backbone(vit, window_size=2)
    images = pixels(rng, 1, 24, 32, 3) / 255
    found = build_vit_backbone(vit, feature_blocks=(3,))(images)
    np.testing.assert_allclose(
        to_numpy(found), to_numpy(build_vit_backbone(vit)(images)), atol=1e-4
    )


def test_wrong_arguments_are_refused():
    vit = many_leading()
    for arguments, words in (
        ({"feature_blocks": (1, 4)}, "`feature_blocks` must be .* from 0 to 3"),
        ({"global_blocks": (3,)}, "`global_blocks` needs a `window_size`"),
        ({"window_size": 0}, "`window_size` must be a positive integer"),
        ({"scales": (1, 2)}, "`scales` must be some of"),
        ({"scales": (8,)}, "`scales` must be some of"),
    ):
        with pytest.raises(ValueError, match=words):
            build_vit_backbone(vit, **arguments)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_quantized_weights_are_refused():
    vit = many_leading()
    vit.quantize("int8")
    with pytest.raises(ValueError, match="before it is quantized"):
        build_vit_backbone(vit, window_size=2)


class OwnEncoder(TransformerEncoder):
    pass


def test_an_encoder_of_one_s_own_is_refused_where_it_would_be_replaced():
    vit = tiny_vit(num_heads=3)
    encoder = vit.get_layer("encoder")
    own = OwnEncoder.from_config({**encoder.get_config(), "name": "encoder"})
    other = keras.Model(vit.input, own(encoder.input))
    assert build_vit_backbone(other).output_shape[-1] == 12
    with pytest.raises(ValueError, match="have a TransformerEncoder"):
        build_vit_backbone(other, window_size=2)


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="it is TensorFlow's format"
)
def test_a_saved_model_detects_as_the_detector_does(tmp_path, rng):
    import tensorflow as tf

    vit = many_leading(position="rotary")
    detr = detector(build_vit_backbone(vit, **WINDOWS, scales=(2,)))
    detr.export(tmp_path / "detr", verbose=False)
    served = tf.saved_model.load(tmp_path / "detr")
    images = pixels(rng, 1, 30, 41, 3)
    for key, expected in detr(images).items():
        np.testing.assert_allclose(
            to_numpy(served.serve(images)[key]), to_numpy(expected), atol=1e-4
        )


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("side", [64, 96])
def test_features_equal_those_of_rf_detr(side, tmp_path, rng):
    """Of its backbone, whose weights are those of a DINOv2."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from transformers.models.rf_detr import modeling_rf_detr

    config = {
        "hidden_size": 24,
        "num_hidden_layers": 5,
        "num_attention_heads": 3,
        "image_size": 64,
        "patch_size": 8,
        "mlp_ratio": 2,
    }
    torch.manual_seed(3)
    theirs = modeling_rf_detr.RfDetrDinov2Backbone(
        modeling_rf_detr.RfDetrDinov2Config(
            **config, num_windows=2, out_indices=[1, 3, 5]
        )
    ).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.normal_(0.0, 0.2)
    dino = transformers.Dinov2Model(transformers.Dinov2Config(**config))
    dino.load_state_dict(theirs.state_dict())
    vit = from_pretrained(
        save(dino, tmp_path),
        image_shape=(None, None, 3),
        position_interpolation="bicubic_antialias",
        verbose=False,
    )
    backbone = build_vit_backbone(
        vit,
        (side, side, 3),
        feature_blocks=(0, 2, 4),
        window_size=side // 16,
        global_blocks=(1, 3),
    )
    images = rng.normal(size=(2, side, side, 3)).astype("float32")
    with torch.no_grad():
        maps = theirs(torch.tensor(images.transpose(0, 3, 1, 2))).feature_maps
    expected = torch.cat(maps, 1).numpy().transpose(0, 2, 3, 1)
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(to_numpy(backbone(images)), expected, atol=1e-4)
