import keras
import numpy as np
import pytest

from keras_vtr.backbones import build_vit_backbone
from keras_vtr.layers import LogitRefinement
from keras_vtr.layers import RelativeRefinement
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import sigmoid_terms
from keras_vtr.models import add_denoising
from keras_vtr.models import add_groups
from keras_vtr.serving import export_detector
from keras_vtr.stages import DETR
from tests.layer_checks import to_numpy
from tests.losses.numpy_reference import corners
from tests.tiny_models import batch
from tests.tiny_models import randomize
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

KINDS = {
    "anchors": {"queries": "anchors"},
    "selected": {
        "queries": "selected",
        "classifier": "sigmoid",
        "num_queries": 3,
        "num_encoder_layers": 0,
    },
}


@pytest.fixture(params=KINDS)
def detr(request):
    return tiny_detr(**KINDS[request.param])


def inputs(images, y_true):
    return {"images": images, **y_true}


@pytest.mark.any_backend
def test_detections_are_the_same_with_and_without_groups(rng, detr):
    images, y_true = batch(rng)
    expected = detr(images)
    groups = add_groups(detr, 3)
    for model, data in (
        (groups, images),
        (add_denoising(groups, 2), inputs(images, y_true)),
        (add_groups(add_denoising(detr, 2), 3), inputs(images, y_true)),
    ):
        outputs = model(data)
        for key, value in expected.items():
            np.testing.assert_allclose(
                to_numpy(outputs[key]), to_numpy(value), atol=1e-5
            )
        assert set(expected) < set(outputs)


def test_the_detector_itself_has_not_changed_by_a_bit(rng, detr):
    images, _ = batch(rng)
    before = {key: to_numpy(x) for key, x in detr(images).items()}
    names = [weight.path for weight in detr.weights]
    add_groups(detr, 3)
    assert [weight.path for weight in detr.weights] == names
    for key, value in detr(images).items():
        np.testing.assert_array_equal(to_numpy(value), before[key])


def test_groups_do_not_see_each_other(rng, detr):
    images, _ = batch(rng)
    model = add_groups(detr, 3)
    num_queries = detr.output["boxes"].shape[1]

    def of_groups():
        boxes = to_numpy(model(images)["group_boxes"])
        return boxes.reshape(*boxes.shape[:2], 3, num_queries, 4)

    before = of_groups()
    (weight,) = model.get_layer("group_queries").weights
    value = to_numpy(weight)
    value[:, num_queries : 2 * num_queries] += 0.7  # of the second group
    weight.assign(value)
    after = of_groups()
    np.testing.assert_array_equal(after[:, :, ::2], before[:, :, ::2])
    # A little, because boxes hardly move before they are trained.
    assert abs(after[:, -1, 1] - before[:, -1, 1]).max() > 1e-5


def test_the_loss_of_groups_is_the_mean_of_each_matched_by_itself(rng):
    y_true = batch(rng)[1]
    y_pred = random_predictions(rng, 5)
    groups = [random_predictions(rng, 5) for _ in range(3)]
    stacked = {
        f"group_{key}": np.concatenate(
            [
                np.stack([x[f"auxiliary_{key}"][:, 0], x[key]], axis=1)
                for x in groups
            ],
            axis=2,
        )
        for key in ("logits", "boxes")
    }
    loss = HungarianLoss()
    alone = np.mean([float(loss(y_true, x)) for x in groups])
    expected = float(loss(y_true, y_pred)) + alone
    found = float(loss(y_true, {**y_pred, **stacked}))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def random_predictions(rng, num_queries):
    def logits(*shape):
        return rng.normal(size=(*shape, num_queries, 4)).astype("float32")

    def boxes(*shape):
        shape = (*shape, num_queries, 4)
        return rng.uniform(0.2, 0.6, size=shape).astype("float32")

    return {
        "logits": logits(4),
        "boxes": boxes(4),
        "auxiliary_logits": logits(4, 1),
        "auxiliary_boxes": boxes(4, 1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_both_kinds_learn_and_are_saved(rng, kind, tmp_path):
    detr = tiny_detr(**KINDS[kind])
    images, y_true = batch(rng)
    model = add_groups(detr, 2)
    terms = sigmoid_terms() if kind == "selected" else None
    model.compile(keras.optimizers.AdamW(1e-2), HungarianLoss(terms))
    logs = model.fit(images, y_true, batch_size=4, epochs=12, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    assert logs["loss"][-1] < logs["loss"][0]
    detr.save(tmp_path / "detr.keras")
    again = keras.models.load_model(tmp_path / "detr.keras")
    for key, value in detr(images).items():
        np.testing.assert_array_equal(
            to_numpy(value), to_numpy(again(images)[key])
        )


def test_proposals_are_trained_as_a_layer_before_the_decoder(rng):
    detr = tiny_detr(**KINDS["selected"])
    assert detr.output["auxiliary_boxes"].shape == (None, 2, 3, 4)
    images, _ = batch(rng)
    outputs = {key: to_numpy(x) for key, x in detr(images).items()}
    # The decoder starts from what was selected.
    np.testing.assert_array_equal(
        outputs["auxiliary_reference_boxes"][:, 1],
        outputs["auxiliary_boxes"][:, 0],
    )
    small = [corners(x) for x in outputs["auxiliary_reference_boxes"][0, 0]]
    assert all(abs(box[2] - box[0] - 0.05) < 1e-6 for box in small)


def test_selection_and_decoder_move_boxes_by_the_same_rule():
    for kind in (LogitRefinement, RelativeRefinement):
        given = None if kind is LogitRefinement else kind()
        detr = tiny_detr(queries="selected", box_refinement=given)
        for name in (DETR.QUERY_SELECTION, DETR.DECODER):
            assert type(detr.get_layer(name).box_refinement) is kind


@pytest.mark.any_backend
def test_padding_changes_nothing_that_is_selected(rng):
    detr = tiny_detr(
        **KINDS["selected"],
        image_shape=(None, None, 1),
        padding="exact",
        backbone=build_vit_backbone(
            tiny_vit(image_shape=(16, 16, 1), patch_size=4),
            (None, None, 1),
            padding_mask=True,
        ),
    )
    randomize(detr)
    images, _ = batch(rng)
    mask = np.ones(images.shape[:3], bool)
    expected = detr({"images": images, "padding_mask": mask})
    edges = ((0, 0), (0, 8), (0, 12))
    found = detr(
        {
            "images": np.pad(images, (*edges, (0, 0))),
            "padding_mask": np.pad(mask, edges),
        }
    )
    for key, value in expected.items():
        np.testing.assert_allclose(
            to_numpy(found[key]), to_numpy(value), atol=1e-4
        )


def test_only_the_detector_itself_is_exported(tmp_path):
    detr = tiny_detr(queries="anchors")
    with pytest.raises(ValueError, match="must be the detector itself"):
        export_detector(add_groups(detr, 2), tmp_path / "detr")
    assert not (tmp_path / "detr").exists()


def test_wrong_arguments_are_refused():
    detr = tiny_detr(queries="anchors")
    for add, number in ((add_groups, 2), (add_denoising, 3)):
        with pytest.raises(ValueError, match="pass a larger `num_groups`"):
            add(add(detr, number), number)
    with pytest.raises(ValueError, match="Received: num_groups=0"):
        add_groups(detr, 0)
    with pytest.raises(ValueError, match="Received: num_targets=0"):
        add_denoising(detr, 0)
    with pytest.raises(
        ValueError, match='must be built with queries="anchors"'
    ):
        add_groups(tiny_detr())
    logits = keras.layers.Dense(3)(detr.output["boxes"])
    by_hand = keras.Model(detr.input, {**detr.output, "logits": logits})
    with pytest.raises(ValueError, match="must come from a keras_vtr"):
        add_groups(by_hand)
    with pytest.raises(ValueError, match="has no effect on queries="):
        tiny_detr(look_forward_twice=True)
    with pytest.raises(ValueError, match="look_forward_twice='no'"):
        tiny_detr(queries="anchors", look_forward_twice="no")
    with pytest.raises(ValueError, match="Received: auxiliary_outputs=False"):
        tiny_detr(**KINDS["selected"], auxiliary_outputs=False)
    with pytest.raises(ValueError, match="num_queries=5, 4 tokens"):
        tiny_detr(queries="selected", num_queries=5)
