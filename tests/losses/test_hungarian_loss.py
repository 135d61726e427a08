import keras
import numpy as np
import pytest
from scipy import optimize

from keras_vtr.losses import BoxTerm
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import LabelTerm
from keras_vtr.losses import Term
from keras_vtr.losses import detr_terms
from keras_vtr.losses import matching
from tests.gradients import gradient
from tests.gradients import trained
from tests.layer_checks import to_numpy
from tests.losses import numpy_reference

B, L, Q, M, K = 3, 2, 11, 5, 4
WEIGHTS = {
    "label_weight": 1.5,
    "box_weight": 4.0,
    "giou_weight": 2.5,
    "no_object_weight": 0.2,
}


def random_targets(rng, num_images=B, num_targets=M, share=0.6):
    shape = (num_images, num_targets)
    labels = rng.integers(0, K, size=shape)
    return {
        "labels": np.where(rng.random(shape) < share, labels, -1),
        "boxes": rng.uniform(0.2, 0.6, size=(*shape, 4)).astype("float32"),
    }


def random_predictions(rng, num_images=B):
    def logits(*shape):
        return rng.normal(size=(*shape, K + 1)).astype("float32") * 2

    def boxes(*shape):
        return rng.uniform(0.1, 0.7, size=(*shape, 4)).astype("float32")

    return {
        "logits": logits(num_images, Q),
        "boxes": boxes(num_images, Q),
        "auxiliary_logits": logits(num_images, L - 1, Q),
        "auxiliary_boxes": boxes(num_images, L - 1, Q),
    }


def value(y_true, y_pred, terms=None):
    return float(trained(HungarianLoss(terms))(y_true, y_pred))


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_terms_equal_the_numpy_restatement_of_detr(rng, share):
    y_true = random_targets(rng, share=share)
    y_pred = random_predictions(rng)
    loss = HungarianLoss(detr_terms(**WEIGHTS))
    terms = trained(loss.term_values)(y_true, y_pred)
    layers = [
        (y_pred["auxiliary_logits"][:, 0], y_pred["auxiliary_boxes"][:, 0]),
        (y_pred["logits"], y_pred["boxes"]),
    ]
    total = 0.0
    for i, (logits, boxes) in enumerate(layers):
        expected = numpy_reference.layer_terms(y_true, logits, boxes, WEIGHTS)
        assert terms.keys() == expected.keys()
        for name, number in expected.items():
            ours = to_numpy(terms[name])
            assert ours.shape == (L,)
            np.testing.assert_allclose(ours[i], number, rtol=1e-5, err_msg=name)
        total += WEIGHTS["label_weight"] * expected["label_loss"]
        total += WEIGHTS["box_weight"] * expected["box_loss"]
        total += WEIGHTS["giou_weight"] * expected["giou_loss"]
    np.testing.assert_allclose(float(loss(y_true, y_pred)), total, rtol=1e-5)


def test_a_perfect_prediction_costs_nothing(rng):
    y_true = random_targets(rng)
    logits = np.full((B, Q, K + 1), -50.0, "float32")
    logits[..., -1] = 50.0
    boxes = np.full((B, Q, 4), 0.5, "float32")
    for b in range(B):
        for m in range(M):
            if y_true["labels"][b, m] >= 0:
                query = (3 * m + b) % Q
                logits[b, query] = -50.0
                logits[b, query, y_true["labels"][b, m]] = 50.0
                boxes[b, query] = y_true["boxes"][b, m]
    y_pred = {"logits": logits, "boxes": boxes}
    assert abs(value(y_true, y_pred)) < 1e-5
    terms = trained(HungarianLoss().term_values)(y_true, y_pred)
    assert float(terms["class_error"][-1]) == 0.0
    assert float(terms["cardinality_error"][-1]) == 0.0


def test_bit_equal_whatever_the_padding_and_the_order_of_targets(rng):
    y_true, y_pred = random_targets(rng, num_targets=3), random_predictions(rng)
    expected = value(y_true, y_pred)
    for num_targets in (5, 9):
        places = rng.permutation(num_targets)[:3]
        padded = {
            "labels": np.full((B, num_targets), -1),
            "boxes": rng.uniform(size=(B, num_targets, 4)).astype("float32"),
        }
        padded["labels"][:, places] = y_true["labels"]
        padded["boxes"][:, places] = y_true["boxes"]
        assert value(padded, y_pred) == expected


def test_what_stands_in_padding_boxes_never_matters(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    y_true["labels"][:, 0] = -1
    loss = HungarianLoss()

    def total(y_pred, y_true):
        return loss(y_true, y_pred)

    expected, slope = gradient(total, y_pred, y_true)
    for content in (np.nan, np.inf, 1e38, -7.0):
        padding = y_true["labels"] < 0
        boxes = np.where(padding[..., None], content, y_true["boxes"])
        other = {**y_true, "boxes": boxes.astype("float32")}
        found, other_slope = gradient(total, y_pred, other)
        assert found == expected
        for key in slope:
            np.testing.assert_array_equal(slope[key], other_slope[key])


def test_gradients_are_bit_equal_whatever_the_padding(rng):
    y_true, y_pred = random_targets(rng, num_targets=3), random_predictions(rng)
    padded = {
        "labels": np.pad(
            y_true["labels"], ((0, 0), (2, 4)), constant_values=-1
        ),
        "boxes": np.pad(y_true["boxes"], ((0, 0), (2, 4), (0, 0))),
    }
    loss = HungarianLoss()
    _, slope = gradient(lambda x: loss(y_true, x), y_pred)
    _, padded_slope = gradient(lambda x: loss(padded, x), y_pred)
    for key in slope:
        np.testing.assert_array_equal(slope[key], padded_slope[key])


@pytest.mark.parametrize("num_targets", [0, 1, M])
def test_a_batch_without_objects_has_exactly_no_box_loss(rng, num_targets):
    y_true = random_targets(rng, num_targets=num_targets, share=0.0)
    y_pred = random_predictions(rng)
    loss = HungarianLoss()
    terms = trained(loss.term_values)(y_true, y_pred)
    assert (to_numpy(terms["box_loss"]) == 0).all()
    assert (to_numpy(terms["giou_loss"]) == 0).all()
    assert (to_numpy(terms["label_loss"]) > 0).all()
    total, slope = gradient(lambda x: loss(y_true, x), y_pred)
    assert np.isfinite(total)
    assert (slope["boxes"] == 0).all()
    assert np.isfinite(slope["logits"]).all() and slope["logits"].any()


def test_an_image_without_objects_does_not_disturb_the_others(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    y_true["labels"][1] = -1
    _, slope = gradient(lambda x: HungarianLoss()(y_true, x), y_pred)
    assert (slope["boxes"][1] == 0).all()
    assert slope["boxes"][0].any() and slope["boxes"][2].any()


@pytest.mark.parametrize(
    "box", [[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0.5, 0.5, 0.2, 0], [1, 1, 1, 1]]
)
def test_predictions_without_area_have_finite_gradients(rng, box):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    for key in ("boxes", "auxiliary_boxes"):
        y_pred[key][:] = box
    total, slope = gradient(lambda x: HungarianLoss()(y_true, x), y_pred)
    assert np.isfinite(total)
    assert all(np.isfinite(x).all() for x in slope.values())


@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
@pytest.mark.parametrize("key", ["logits", "boxes"])
def test_finite_predictions_have_a_finite_loss(rng, size, key):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    signs = rng.choice([-1, 1], size=y_pred[key].shape)
    y_pred[key] = (signs * size).astype("float32")
    total, slope = gradient(lambda x: HungarianLoss()(y_true, x), y_pred)
    assert np.isfinite(total)
    assert all(np.isfinite(x).all() for x in slope.values())


def test_nan_predictions_end_and_show(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    y_pred["boxes"][:] = np.nan
    assert np.isnan(value(y_true, y_pred))


def test_labels_survive_the_cast_of_loss_call(rng):
    num_classes = 2_000
    y_pred = {
        "logits": np.zeros((1, 3, num_classes + 1), "float32"),
        "boxes": rng.uniform(0.2, 0.6, size=(1, 3, 4)).astype("float32"),
    }
    y_pred["logits"][0, 1, 1_999] = 50.0
    y_pred["logits"][0, [0, 2], num_classes] = 50.0
    y_true = {
        "labels": np.array([[1_999]]),
        "boxes": y_pred["boxes"][:, 1:2],
    }
    floatx = keras.config.floatx()
    try:
        keras.config.set_floatx("bfloat16")
        assert abs(value(y_true, y_pred)) < 1e-4
    finally:
        keras.config.set_floatx(floatx)


def test_half_precision_predictions_are_judged_in_float32(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    half = {key: x.astype("float16") for key, x in y_pred.items()}
    terms = trained(HungarianLoss().term_values)(y_true, half)
    exact = {key: x.astype("float32") for key, x in half.items()}
    expected = trained(HungarianLoss().term_values)(y_true, exact)
    for name, term in terms.items():
        assert keras.backend.standardize_dtype(term.dtype) == "float32"
        np.testing.assert_array_equal(to_numpy(term), to_numpy(expected[name]))


def test_without_auxiliary_outputs_there_is_one_layer(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    last = {key: y_pred[key] for key in ("logits", "boxes")}
    terms = trained(HungarianLoss().term_values)(y_true, last)
    every = trained(HungarianLoss().term_values)(y_true, y_pred)
    for name in terms:
        assert tuple(terms[name].shape) == (1,)
        np.testing.assert_allclose(
            to_numpy(terms[name])[0], to_numpy(every[name])[-1], rtol=1e-6
        )


def test_as_many_targets_as_queries_are_matched(rng):
    y_true = random_targets(rng, num_targets=Q, share=1.0)
    y_pred = random_predictions(rng)
    y_pred["logits"][..., -1] = -90.0
    terms = trained(HungarianLoss().term_values)(y_true, y_pred)
    assert float(terms["cardinality_error"][-1]) == 0.0


def test_configuration_round_trip():
    loss = HungarianLoss(detr_terms(**WEIGHTS), name="mine")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == loss.get_config()
    assert [x.get_config() for x in again.terms] == [
        x.get_config() for x in detr_terms(**WEIGHTS)
    ]
    assert again.name == "mine" and again.terms[0].no_object_weight == 0.2


def test_more_targets_than_queries_are_refused(rng):
    y_true = random_targets(rng, num_targets=Q + 1, share=1.0)
    with pytest.raises(ValueError, match="12 targets, 11 queries"):
        value(y_true, random_predictions(rng))


@pytest.mark.parametrize("key", ["boxes", "labels"])
def test_a_missing_target_key_is_named(rng, key):
    y_true = random_targets(rng)
    del y_true[key]
    with pytest.raises(ValueError, match=r"`y_true` must be a dict with the"):
        value(y_true, random_predictions(rng))


@pytest.mark.parametrize(
    "key, message",
    [
        ("boxes", r"`y_pred` must be a dict with the"),
        ("logits", r"outputs must have either 'logits', .*Received"),
    ],
)
def test_a_missing_output_is_named(rng, key, message):
    y_pred = random_predictions(rng)
    del y_pred[key]
    with pytest.raises(ValueError, match=message):
        value(random_targets(rng), y_pred)


def test_targets_of_a_wrong_shape_are_refused(rng):
    y_true = random_targets(rng)
    y_true["boxes"] = y_true["boxes"][..., :3]
    with pytest.raises(ValueError, match=r"boxes.shape=\(3, 5, 3\)"):
        value(y_true, random_predictions(rng))


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("label_weight", -1.0),
        ("box_weight", float("nan")),
        ("giou_weight", -0.1),
        ("no_object_weight", 0.0),
        ("no_object_weight", 1.5),
    ],
)
def test_weights_must_be_in_range(name, weight):
    name_shown = name if name.startswith("no_") else "weight"
    with pytest.raises(ValueError, match=f"Received: {name_shown}={weight}"):
        detr_terms(**{name: weight})


class Aspect(Term):
    """Distance of the logarithms of width by height."""

    def distance(self, y_true, y_pred):
        ratios = (
            x["boxes"][..., 2] / x["boxes"][..., 3] for x in (y_true, y_pred)
        )
        one, other = (keras.ops.log(keras.ops.maximum(x, 1e-6)) for x in ratios)
        return keras.ops.abs(one - other)


class Angle(Term):
    """Of a target and an output that the package knows nothing of."""

    def distance(self, y_true, y_pred):
        return keras.ops.abs(y_true["angles"] - y_pred["angles"])


def test_a_term_of_ones_own_is_matched_weighed_and_summed(rng):
    """By an assignment that differs from that of the others alone."""
    y_true, y_pred = random_targets(rng, share=1.0), random_predictions(rng)
    y_pred = {key: y_pred[key] for key in ("logits", "boxes")}
    terms = [LabelTerm(0.0), BoxTerm(0.0), Aspect("aspect_loss", 3.0)]
    loss = HungarianLoss(terms)
    found = trained(loss.term_values)(y_true, y_pred)
    expected = 0.0
    for true, predicted in zip(y_true["boxes"], y_pred["boxes"], strict=True):
        one, other = (np.log(x[:, 2] / x[:, 3]) for x in (true, predicted))
        cost = abs(one[:, None] - other)
        expected += cost[optimize.linear_sum_assignment(cost)].sum()
    expected /= B * M
    np.testing.assert_allclose(found["aspect_loss"][0], expected, rtol=1e-5)
    total = float(loss.total(found))
    np.testing.assert_allclose(total, 3.0 * expected, rtol=1e-5)


def test_terms_read_targets_and_outputs_of_ones_own(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    y_true["angles"] = rng.uniform(size=(B, M)).astype("float32")
    y_pred["angles"] = rng.uniform(size=(B, Q)).astype("float32")
    auxiliary = rng.uniform(size=(B, L - 1, Q)).astype("float32")
    angle = Angle("angle_loss", cost_weight=0.0)
    loss = HungarianLoss([*detr_terms(), angle])
    with pytest.raises(ValueError, match=r"with the keys .'auxiliary_angles'"):
        loss(y_true, y_pred)
    y_pred["auxiliary_angles"] = auxiliary
    found = trained(loss.term_values)(y_true, y_pred)
    plain = trained(HungarianLoss().term_values)(y_true, y_pred)
    for name, values in plain.items():
        np.testing.assert_array_equal(to_numpy(found[name]), to_numpy(values))
    # Targets that stand elsewhere, among padding, are the same ones.
    order = rng.permutation(M)
    other = {key: values[:, order] for key, values in y_true.items()}
    other = trained(loss.term_values)(other, y_pred)["angle_loss"]
    np.testing.assert_array_equal(
        to_numpy(found["angle_loss"]), to_numpy(other)
    )
    assert (to_numpy(other) > 0).all()
    del y_true["angles"]
    with pytest.raises(ValueError, match=r"`y_true` must be a dict.*'angles'"):
        loss(y_true, y_pred)


def test_a_term_may_weigh_otherwise_in_the_matching(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    by_boxes = HungarianLoss([LabelTerm(2.0, cost_weight=0.0), BoxTerm(0.5)])
    twice = HungarianLoss([LabelTerm(2.0, cost_weight=0.0), BoxTerm(0.5, 1.0)])
    one = trained(by_boxes.term_values)(y_true, y_pred)
    other = trained(twice.term_values)(y_true, y_pred)
    for name in one:  # twice the cost has the same least assignment
        np.testing.assert_array_equal(
            to_numpy(one[name]), to_numpy(other[name])
        )
    only_labels = HungarianLoss([LabelTerm(2.0), BoxTerm(0.5, cost_weight=0.0)])
    other = trained(only_labels.term_values)(y_true, y_pred)
    assert (to_numpy(other["box_loss"]) > to_numpy(one["box_loss"])).all()


class Shapeless(Term):
    def distance(self, y_true, y_pred):
        return keras.ops.abs(y_true["boxes"] - y_pred["boxes"])


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (5.0, "must be a list of keras_vtr.losses.Term objects.*terms=5.0"),
        ({"box": BoxTerm()}, "must be a list of keras_vtr.losses.Term"),
        ([BoxTerm], "must be a list of keras_vtr.losses.Term objects"),
        ([], "At least one term must have a `cost_weight`"),
        ([BoxTerm(cost_weight=0.0)], "At least one term must have"),
        ([BoxTerm(), BoxTerm()], "different names.*'box_loss', 'box_loss'"),
        ([Term("mine")], "'mine' must have a `distance`.*Received: Term"),
    ],
)
def test_what_are_no_terms_is_refused_at_once(terms, message):
    with pytest.raises(ValueError, match=message):
        HungarianLoss(terms)


@pytest.mark.parametrize("name", [None, "", 3, "loss"])
def test_a_term_has_a_name(name):
    with pytest.raises(ValueError, match="`name` must be a text"):
        Aspect(name)


@pytest.mark.parametrize("cost_weight", [None, 0.0])
def test_a_term_of_a_wrong_shape_is_named(rng, cost_weight):
    term = Shapeless("mine", cost_weight=cost_weight)
    with pytest.raises(
        ValueError, match=r"`(cost|distance)` of the term 'mine'"
    ):
        value(random_targets(rng), random_predictions(rng), [BoxTerm(), term])


@keras.saving.register_keras_serializable(package="tests")
def second_head(terms, y_true, y_pred, num_images, num_targets):
    if "second_boxes" not in y_pred:
        return None
    second = {key: y_pred[f"second_{key}"] for key in ("boxes", "logits")}
    return matching.match(terms, y_true, second, num_images, num_targets)


def test_a_pairing_of_ones_own_adds_its_weighted_terms(rng):
    y_true, y_pred = random_targets(rng), random_predictions(rng)
    second = random_predictions(rng)
    second = {key: second[key] for key in ("boxes", "logits")}
    both = {**y_pred, **{f"second_{key}": x for key, x in second.items()}}
    loss = HungarianLoss(pairings={"second": second_head})
    config = keras.saving.serialize_keras_object(loss)
    loss = keras.saving.deserialize_keras_object(config)
    assert value(y_true, y_pred) == float(trained(loss)(y_true, y_pred))
    found = trained(loss.term_values)(y_true, both)
    assert "second_giou_loss" in found and "second_class_error" not in found
    expected = value(y_true, y_pred) + value(y_true, second)
    np.testing.assert_allclose(
        float(trained(loss)(y_true, both)), expected, rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"`pairings` must be a dict of func"):
        HungarianLoss(pairings=[second_head])
    with pytest.raises(ValueError, match=r"built in, \['denoising', 'group'\]"):
        HungarianLoss(pairings={"denoising": second_head})
