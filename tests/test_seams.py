"""Changes that users make from outside, through public names only.

Each is trained one step, saved, reloaded and exported.
"""

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_vtr
from keras_vtr import layers
from keras_vtr import pretrained
from tests.layer_checks import to_numpy
from tests.tiny_models import batch
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

ops = keras.ops


def trained_saved_and_exported(model, images, y_true, folder):
    """Returns the logs of a step, and the model reloaded."""
    logs = model.fit(images, y_true, batch_size=4, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    for key, values in model(images).items():
        np.testing.assert_array_equal(
            to_numpy(values), to_numpy(again(images)[key])
        )
    first = again.evaluate(images, y_true, return_dict=True, verbose=0)
    second = model.evaluate(images, y_true, return_dict=True, verbose=0)
    assert first == second
    if keras.backend.backend() == "tensorflow":
        keras_vtr.serving.export_detector(again, folder / "served")
    return logs, again


@keras.saving.register_keras_serializable(package="seams")
class AspectTerm(keras_vtr.losses.Term):
    """Distance of the logarithms of width by height."""

    def distance(self, y_true, y_pred):
        one, other = (
            ops.log(y["boxes"][..., 2] + 1e-3)
            - ops.log(y["boxes"][..., 3] + 1e-3)
            for y in (y_true, y_pred)
        )
        return ops.abs(one - other)


def test_a_term_in_the_loss_and_in_the_matching(rng, tmp_path):
    model = tiny_detr()
    terms = [
        *keras_vtr.losses.detr_terms(label_weight=2.0),
        AspectTerm("aspect_loss", weight=0.5),
    ]
    model.compile("adamw", keras_vtr.losses.HungarianLoss(terms))
    logs, again = trained_saved_and_exported(model, *batch(rng), tmp_path)
    assert logs["aspect_loss"][0] > 0
    assert again.loss.terms[-1].cost_weight == 0.5


@keras.saving.register_keras_serializable(package="seams")
class AngleTerm(keras_vtr.losses.Term):
    """1 - cosine between an object's angle and the predicted one."""

    def distance(self, y_true, y_pred):
        return 1.0 - ops.cos(y_true["angles"] - y_pred["angles"])


def test_a_head_with_its_target_and_its_term(rng, tmp_path):
    detr = tiny_detr()
    answers = detr.get_layer("decoder").output  # (B, L, Q, D)
    angles = keras.layers.Dense(1, dtype="float32", name="angle")(answers)
    outputs = {
        **detr.output,
        "angles": angles[:, -1, :, 0],
        "auxiliary_angles": angles[:, :-1, :, 0],
    }
    model = keras_vtr.models.DetectionModel(detr.inputs[0], outputs)
    terms = [
        *keras_vtr.losses.detr_terms(),
        AngleTerm("angle_loss", weight=2.0, cost_weight=0.0),
    ]
    model.compile("adamw", keras_vtr.losses.HungarianLoss(terms))
    images, y_true = batch(rng)
    y_true["angles"] = rng.uniform(0, 6, (4, 2)).astype("float32")
    logs, again = trained_saved_and_exported(model, images, y_true, tmp_path)
    assert logs["angle_loss"][0] > 0
    assert tuple(again(images)["angles"].shape) == (4, 4)


def classifier_is_trained_saved_and_exported(model, rng, folder):
    images = rng.uniform(0, 255, (4, *model.input_shape[1:])).astype("float32")
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = model.get_weights()
    model.fit(images, np.array([0, 1, 2, 0]), epochs=2, verbose=0)
    changed = zip(before, model.get_weights(), strict=True)
    assert all((a != b).any() for a, b in changed if a.size > 1)
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    np.testing.assert_array_equal(
        to_numpy(model(images)), to_numpy(again(images))
    )
    if keras.backend.backend() == "tensorflow":
        keras_vtr.serving.export_classifier(again, folder / "served")


def build_classifier(encoder):
    images = keras.Input((16, 24, 3))
    x = layers.PatchEmbedding(hidden_dim=16, patch_size=8)(images)
    x = encoder(layers.PositionEmbedding()(x))
    return keras.Model(images, keras.layers.Dense(3)(x[:, 0]))


def test_an_encoder_of_other_norms(rng, tmp_path):
    block = layers.TransformerEncoderBlock(
        layers.MultiHeadAttention(
            2, query_key_norm=keras.layers.RMSNormalization()
        ),
        layers.FeedForward(24, activation="silu"),
        norm=keras.layers.RMSNormalization(),
    )
    model = build_classifier(layers.TransformerEncoder(block, num_layers=2))
    assert not any("beta" in weight.path for weight in model.weights)
    classifier_is_trained_saved_and_exported(model, rng, tmp_path)


@keras.saving.register_keras_serializable(package="seams")
class ParallelBlock(keras.layers.Layer):
    """Attention beside feed-forward instead of before it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization()
        self.attention = layers.MultiHeadAttention(2)
        self.feed_forward = layers.FeedForward(24)

    def call(self, tokens):
        x = self.norm(tokens)
        return tokens + self.attention(x) + self.feed_forward(x)


def test_an_encoder_of_blocks_of_ones_own(rng, tmp_path):
    encoder = layers.TransformerEncoder(ParallelBlock(), num_layers=2)
    model = build_classifier(encoder)
    assert len(encoder.weights) == 2 * (2 + 8 + 4)
    classifier_is_trained_saved_and_exported(model, rng, tmp_path)


def test_a_vit_with_rotary_positions(rng, tmp_path):
    model = tiny_vit(position="rotary", num_heads=3)
    assert not any("position" in weight.path for weight in model.weights)
    classifier_is_trained_saved_and_exported(model, rng, tmp_path)


@keras.saving.register_keras_serializable(package="seams")
class ShiftedPositions(layers.PositionRule):
    """Shifts each head's queries and keys by learned multiples of (x, y)."""

    def build(self, query_shape):
        self.directions = self.add_weight(shape=(2, 1), name="directions")

    def on_heads(self, heads, positions):
        shift = ops.matmul(positions, ops.cast(self.directions, "float32"))
        return heads + ops.cast(shift, heads.dtype)[:, None]


def test_a_vit_with_a_position_rule_of_ones_own(rng, tmp_path):
    model = tiny_vit(
        position="rotary",
        position_rule=ShiftedPositions(),
        pooling="mean",
        num_heads=3,
    )
    classifier_is_trained_saved_and_exported(model, rng, tmp_path)


def test_a_vit_is_the_backbone_of_a_detector(rng, tmp_path):
    vit = tiny_vit(num_heads=3, num_register_tokens=2)
    model = keras_vtr.models.build_detr(
        3,
        backbone=vit,
        padding="exact",
        size="small",
        image_shape=(22, 30, 3),  # no multiples of the patches' sides
    )
    model.compile("adamw", keras_vtr.losses.HungarianLoss())
    images, y_true = batch(rng)
    images = np.pad(images, ((0, 0), (0, 6), (0, 14), (0, 0)))
    mask = np.zeros(images.shape[:3], bool)
    mask[:, :16, :16] = True
    inputs = {"images": images.repeat(3, axis=-1), "padding_mask": mask}
    before = model.get_layer("vit").get_weights()
    trained_saved_and_exported(model, inputs, y_true, tmp_path)
    changed = zip(before, model.get_layer("vit").get_weights(), strict=True)
    assert any((a != b).any() for a, b in changed)


class OtherProject:
    """Files with our paths, dots in them, and every array transposed."""

    def recognize(self, shapes):
        return "patches.projection.kernel" in shapes

    def read(self, shapes, config, position_grid=None):
        hidden_dim, _, _, patch_size = shapes["patches.projection.kernel"]
        arguments = {
            "num_classes": 3,
            "hidden_dim": hidden_dim,
            "patch_size": patch_size,
            "num_layers": config.integer("depth"),
            "num_heads": config.integer("heads"),
            "mlp_dim": config.integer("mlp"),
            "position_grid": config.sides("grid"),
            "position_interpolation": "bilinear",
        }
        weights = {
            name.replace(".", "/"): pretrained.FromTensors(
                (name,), np.transpose
            )
            for name in shapes
        }
        return pretrained.VitNameMap("Other", arguments, weights)


@pytest.mark.any_backend
def test_a_family_of_pretrained_weights(rng, tmp_path, monkeypatch):
    families = pretrained.families
    monkeypatch.setattr(families, "FAMILIES", [*families.FAMILIES])
    pretrained.register(OtherProject())
    trained = tiny_vit(num_heads=3)
    tensors = {
        weight.path.replace("/", "."): np.ascontiguousarray(to_numpy(weight).T)
        for weight in trained.weights
    }
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        '{"depth": 1, "heads": 3, "mlp": 16, "grid": [3, 4]}'
    )
    model = pretrained.from_pretrained(tmp_path)
    images = rng.uniform(0, 255, (4, 24, 32, 3)).astype("float32")
    np.testing.assert_array_equal(model(images), trained(images))
    larger = pretrained.from_pretrained(tmp_path, image_shape=(40, 32, 3))
    classifier_is_trained_saved_and_exported(larger, rng, tmp_path)
