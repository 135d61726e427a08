"""CLIP's and SigLIP's image towers: keys, heads and what is left behind."""

import copy

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.backbones import build_vit_backbone
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from tests.layer_checks import to_numpy
from tests.pretrained import family_names
from tests.pretrained import golden_weights

STORED = family_names.stored()


@pytest.fixture
def write(tmp_path):
    """Writes a stored case, after changes to its configuration."""

    def save(case, **change):
        stored = copy.deepcopy(STORED[case])
        stored["config"].update(change)
        return golden_weights.write(
            tmp_path, stored["shapes"], stored["config"]
        )

    return save


def block_of(model):
    return model.get_layer("encoder").block


@pytest.mark.parametrize(
    ("case", "activation", "epsilon"),
    [("CLIP", "quick_gelu", 1e-5), ("SigLIP", "gelu_tanh", 1e-6)],
)
def test_a_key_that_both_towers_leave_out_has_its_default(
    case, activation, epsilon, write
):
    """As in the files of google/siglip-base-patch16-224."""
    kind = {"model_type": f"{case.lower()}_vision_model", "image_size": 32}
    model = from_pretrained(write(case, vision_config=kind), verbose=False)
    block = block_of(model)
    assert block.attention.num_heads == 12
    assert block.feed_forward.activation == activation
    assert block.norm.epsilon == epsilon


def test_an_image_tower_alone_must_give_its_heads(write):
    folder = write("SigLIP's image tower", num_attention_heads=None)
    with pytest.raises(PretrainedError, match="lacks `num_attention_heads`"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope": True}, r"may change.*: `vision_config\.rope`=True"),
        ({"hidden_act": "mish"}, r"`vision_config\.hidden_act` must be"),
        ({"model_type": "vit"}, r"`vision_config\.model_type` must be 'clip_v"),
    ],
)
def test_keys_of_the_image_tower_are_read_key_by_key(change, message, write):
    vision = STORED["CLIP"]["config"]["vision_config"] | change
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(write("CLIP", vision_config=vision))


def test_the_old_copy_of_a_configuration_must_be_equal(write):
    same = {"hidden_size": 24, "num_attention_heads": 3}
    folder = write("CLIP", vision_config_dict=same, text_config_dict={"a": 1})
    from_pretrained(folder, verbose=False)
    folder = write("CLIP", vision_config_dict=same | {"num_attention_heads": 4})
    with pytest.raises(PretrainedError, match="must be equal to vision_config"):
        from_pretrained(folder)


def test_the_tower_of_texts_is_left_and_reported(write, capsys):
    folder = write("CLIP")
    path = folder / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    counters = {
        f"{x}_model.embeddings.position_ids" for x in ("text", "vision")
    }
    weights |= {name: np.arange(17)[None] for name in counters}
    safetensors.numpy.save_file(weights, path)
    from_pretrained(folder)
    printed = capsys.readouterr().out
    assert "text_model.* (20), text_projection.weight" in printed
    assert "The tower of texts was left in the file." in printed
    assert "no biases in patches/projection, representation" in printed


def test_a_new_head_reads_what_the_projection_read(write, rng):
    folder = write("CLIP")
    images = rng.uniform(0, 255, size=(2, 32, 32, 3)).astype("float32")
    embedding = from_pretrained(folder, num_classes=0, verbose=False)
    assert embedding.output_shape == (None, 512)
    features = from_pretrained(folder, representation_dim=None, verbose=False)
    model = from_pretrained(folder, num_classes=3, verbose=False)
    assert [x.name for x in model.layers][-2:] == ["pooling", "head"]
    pooled = keras.Model(model.input, model.get_layer("pooling").output)
    np.testing.assert_array_equal(
        to_numpy(features(images)), to_numpy(pooled(images))
    )


def test_siglip_can_be_pooled_otherwise(write):
    folder = write("SigLIP")
    model = from_pretrained(folder, pooling="mean", num_classes=3)
    assert model.output_shape == (None, 3)
    own = from_pretrained(folder, num_classes=3, verbose=False)
    assert [x.name for x in own.layers][-2:] == ["pooling", "head"]


def test_the_head_of_clip_s_classifier_is_refused(tmp_path):
    stored = STORED["CLIP"]
    shapes = {**stored["shapes"], "classifier.weight": (5, 24)}
    golden_weights.write(tmp_path, shapes, stored["config"])
    with pytest.raises(PretrainedError, match="CLIPForImageClassification av"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize("case", ["CLIP", "SigLIP", "DINOv3"])
def test_it_is_saved_and_becomes_a_backbone(case, write, tmp_path, rng):
    model = from_pretrained(write(case), verbose=False)
    images = rng.uniform(0, 255, size=(1, 32, 32, 3)).astype("float32")
    model.save(tmp_path / "vit.keras")
    again = keras.models.load_model(tmp_path / "vit.keras")
    np.testing.assert_array_equal(
        to_numpy(model(images)), to_numpy(again(images))
    )
    backbone = build_vit_backbone(model, (None, None, 3))
    pixels = keras.Model(
        model.input, model.get_layer("normalize_pixels").output
    )
    found = to_numpy(backbone(pixels(images)))
    encoder = keras.Model(model.input, model.get_layer("encoder").output)
    tokens = to_numpy(encoder(images))[:, -16:]
    np.testing.assert_allclose(found.reshape(1, 16, 24), tokens, atol=1e-5)


def test_the_configuration_of_dinov3_is_read_key_by_key(write):
    for change, message in (
        ({"pos_embed_kind": "axial"}, "may change.*`pos_embed_kind`='axial'"),
        ({"rope_theta": 0}, "`rope_theta` must be a number above 0"),
        ({"key_bias": 1}, "`key_bias` must be true or false"),
        ({"key_bias": True}, "and lacks: .*k_proj.bias"),
        ({"query_bias": False}, "no known weight: .*q_proj.bias"),
    ):
        with pytest.raises(PretrainedError, match=message):
            from_pretrained(write("DINOv3", **change))
