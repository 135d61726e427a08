import keras
import numpy as np
import pytest

from keras_vtr.losses import AllPixels
from keras_vtr.losses import DiceTerm
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import MaskCrossentropyTerm
from keras_vtr.losses import MaskFocalTerm
from keras_vtr.losses import UncertainPoints
from keras_vtr.losses import detr_terms
from keras_vtr.losses import mask_terms
from keras_vtr.losses import point_mask_terms
from keras_vtr.losses.mask_points import interpolate
from tests.gradients import gradient
from tests.gradients import trained
from tests.layer_checks import to_numpy
from tests.losses.pixel_centers import PixelCenters

NUM_QUERIES, NUM_CLASSES = 5, 3
LABELS = np.array([[1, 0, -1], [-1, -1, -1], [2, 2, 1]], "int32")


def batch(rng, size=(8, 6), true_size=(16, 11), num_layers=1):
    """Three images with two, no and three objects."""
    shape = (3, num_layers, NUM_QUERIES)
    layers = {
        "logits": rng.normal(size=(*shape, NUM_CLASSES + 1)),
        "boxes": rng.uniform(0.2, 0.4, size=(*shape, 4)),
        "masks": rng.normal(0, 3, size=(*shape, *size)),
    }
    layers = {key: x.astype("float32") for key, x in layers.items()}
    y_pred = {key: x[:, -1] for key, x in layers.items()}
    if num_layers > 1:
        y_pred |= {f"auxiliary_{k}": x[:, :-1] for k, x in layers.items()}
    masks = rng.random((*LABELS.shape, *true_size)) < 0.4
    boxes = rng.uniform(0.2, 0.4, size=(*LABELS.shape, 4)).astype("float32")
    return {"labels": LABELS, "boxes": boxes, "masks": masks}, y_pred


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def restated(kind, logits, mask):
    """One pair's distance in float64."""
    p = sigmoid(logits.astype("float64"))
    if kind is DiceTerm:
        return 1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)
    right = np.where(mask, p, 1 - p)
    if kind is MaskCrossentropyTerm:
        return -np.log(right).mean()
    alpha = np.where(mask, 0.25, 0.75)
    return -(alpha * (1 - right) ** 2 * np.log(right)).mean()


def values_of(terms, y_true, y_pred):
    found = HungarianLoss([*detr_terms(), *terms]).term_values(y_true, y_pred)
    return {key: to_numpy(x) for key, x in found.items()}


@pytest.mark.parametrize(
    "kind", [MaskFocalTerm, MaskCrossentropyTerm, DiceTerm]
)
def test_the_value_is_the_sum_over_matched_masks(kind, rng):
    y_true, y_pred = batch(rng, size=(16, 11))
    term = kind(name="mine", cost_weight=0.0)
    pairs = match_of(y_true, y_pred)
    expected = sum(
        restated(kind, y_pred["masks"][b, q], y_true["masks"][b, m])
        for b, m, q in pairs
    )
    assert len(pairs) == 5
    found = values_of([term], y_true, y_pred)["mine"]
    np.testing.assert_allclose(found, [expected / 5], rtol=1e-5)


def match_of(y_true, y_pred):
    """Image, target and query of each pair of DETR's own terms."""
    from keras_vtr.losses.matching import assign
    from keras_vtr.losses.matching import pairwise_cost

    layers = {key: x[:, None] for key, x in y_pred.items()}
    cost = pairwise_cost(detr_terms(), y_true, layers)[:, 0]
    found = keras.ops.convert_to_numpy(assign(cost, y_true["labels"] >= 0))
    return [(b, m, found[b, m]) for b, m in np.argwhere(found >= 0)]


@pytest.mark.parametrize(
    "kind", [MaskFocalTerm, MaskCrossentropyTerm, DiceTerm]
)
def test_a_cost_is_the_distance_of_each_mask_from_each(kind, rng):
    y_true, y_pred = batch(rng, size=(4, 3), true_size=(4, 3))
    layers = {key: x[:, None] for key, x in y_pred.items()}
    cost = to_numpy(kind().cost(y_true, layers))
    assert cost.shape == (3, 1, 3, NUM_QUERIES)
    for b, _, m, q in np.ndindex(*cost.shape):
        expected = restated(kind, y_pred["masks"][b, q], y_true["masks"][b, m])
        np.testing.assert_allclose(cost[b, 0, m, q], expected, rtol=1e-4)


@pytest.mark.parametrize(
    "kind", [MaskFocalTerm, MaskCrossentropyTerm, DiceTerm]
)
def test_points_at_all_centers_are_all_pixels(kind, rng):
    y_true, y_pred = batch(rng, num_layers=2)
    full, points = (
        values_of([kind(points=points)], y_true, y_pred)
        for points in (AllPixels(), PixelCenters())
    )
    for key, value in full.items():
        np.testing.assert_allclose(points[key], value, rtol=1e-5, err_msg=key)


def test_a_matching_by_masks_finds_the_query_that_drew_the_target(rng):
    y_true, y_pred = batch(rng, size=(16, 11))
    for key in ("logits", "boxes"):  # which don't tell the queries apart
        y_pred[key] = np.repeat(y_pred[key][:, :1], NUM_QUERIES, axis=1)
    y_true["masks"][:] = False
    for m in range(3):
        y_true["masks"][:, m, 2 + 3 * m : 10, m : 5 + m] = True
    y_pred["masks"][:, [3, 1, 4]] = np.where(y_true["masks"], 9.0, -9.0)
    found = values_of(point_mask_terms(points=AllPixels()), y_true, y_pred)
    assert found["mask_loss"] < 1e-3
    assert found["dice_loss"] < 1e-2
    points = UncertainPoints(64)
    found = values_of(point_mask_terms(points=points), y_true, y_pred)
    assert found["dice_loss"] < 0.3  # a point may lie between two pixels


def test_padding_and_its_masks_change_no_bit(rng):
    y_true, y_pred = batch(rng)
    longer = {
        "labels": np.pad(LABELS, ((0, 0), (0, 2)), constant_values=-1),
        "boxes": np.pad(y_true["boxes"], ((0, 0), (0, 2), (0, 0))),
        "masks": np.pad(
            y_true["masks"], ((0, 0), (0, 2), (0, 0), (0, 0)), constant_values=1
        ),
    }
    expected = values_of(mask_terms(), y_true, y_pred)
    found = values_of(mask_terms(), longer, y_pred)
    for key in ("mask_loss", "dice_loss"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-6)


def test_images_without_objects_have_no_mask_loss(rng):
    y_true, y_pred = batch(rng)
    y_true["labels"] = np.full_like(LABELS, -1)
    found = values_of(
        point_mask_terms(points=UncertainPoints(9)), y_true, y_pred
    )
    assert found["mask_loss"] == found["dice_loss"] == 0


def test_masks_of_the_last_layers_alone_are_learned(rng):
    y_true, y_pred = batch(rng, num_layers=3)
    every = values_of(mask_terms(), y_true, y_pred)["mask_loss"]
    y_pred["auxiliary_masks"] = y_pred["auxiliary_masks"][:, 1:]
    two = values_of(mask_terms(), y_true, y_pred)["mask_loss"]
    del y_pred["auxiliary_masks"]
    loss = HungarianLoss([*detr_terms(), *mask_terms()])
    values = loss.term_values(y_true, y_pred)
    one = to_numpy(values["mask_loss"])
    np.testing.assert_allclose(two, every[1:], rtol=1e-6)
    np.testing.assert_allclose(one, every[2:], rtol=1e-6)
    total = sum(
        term.weight * to_numpy(values[term.name]).sum() for term in loss.terms
    )
    np.testing.assert_allclose(float(loss.total(values)), total, rtol=1e-6)


def test_only_matched_masks_have_a_gradient(rng):
    y_true, y_pred = batch(rng)
    loss = HungarianLoss([*detr_terms(), *mask_terms()])
    rest = {key: y_pred[key] for key in ("logits", "boxes")}

    def total(masks):
        return loss(y_true, {**rest, "masks": masks})

    _, slope = gradient(total, y_pred["masks"])
    found = {tuple(x) for x in np.argwhere(abs(slope).sum(axis=(2, 3)) > 0)}
    assert found == {(b, q) for b, _, q in match_of(y_true, y_pred)}


@pytest.mark.parametrize("points", [AllPixels(), UncertainPoints(20)])
def test_extreme_logits_have_a_finite_loss_and_gradient(points, rng):
    y_true, y_pred = batch(rng)
    rest = {key: y_pred[key] for key in ("logits", "boxes")}
    terms = [MaskFocalTerm(points=points), *point_mask_terms(points=points)[1:]]
    terms.append(MaskCrossentropyTerm(points=points, name="other"))
    loss = HungarianLoss([*detr_terms(), *terms])

    def total(masks):
        return loss(y_true, {**rest, "masks": masks})

    for scale in (0.0, 1e4, 1e30):
        value, slope = gradient(total, np.float32(scale) * y_pred["masks"])
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_the_points_are_those_that_are_unsure(rng):
    logits = rng.normal(0, 3, size=(2, 1, 3, 8, 8)).astype("float32")
    masks = (logits[:, 0] > 0).astype("float32")
    least = [
        abs(
            to_numpy(UncertainPoints(40, 5.0, share).of_pairs(logits, masks)[0])
        )
        for share in (1.0, 0.5, 0.0)
    ]
    assert least[0].max() < least[1].max()  # some of these are anywhere
    assert least[0].mean() < least[1].mean() < least[2].mean()
    assert all(x.shape == (2, 1, 3, 40) for x in least)


@pytest.mark.parametrize("of", ["of_pairs", "of_all"])
def test_all_pixels_of_small_masks_are_compared(of, rng):
    choose = getattr(UncertainPoints(120), of)
    logits = rng.normal(size=(1, 2, 3, 5, 6)).astype("float32")
    for size in ((10, 12), (20, 24)):
        masks = (rng.uniform(size=(1, 3, *size)) > 0.5).astype("float32")
        found = [to_numpy(x) for x in choose(logits, masks)]
        every = [to_numpy(x) for x in AllPixels().of_pairs(logits, masks)]
        assert found[0].shape == (1, 2, 3, 120)
        assert found[1].shape[2:] == (3, 120)
        if size == (10, 12):
            for one, other in zip(found, every, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("of", ["of_pairs", "of_all"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_masks_of_unknown_size_have_points_of_their_number(
    of, jit_compile, rng
):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX knows all shapes")
    import tensorflow as tf

    choose = getattr(UncertainPoints(20), of)

    def slope(logits, masks):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            found, true = choose(logits, masks)
            total = tf.reduce_sum(found * true)
        return found, tape.gradient(total, logits)

    function = tf.function(
        slope,
        input_signature=(
            tf.TensorSpec((None,) * 5),
            tf.TensorSpec((None,) * 4),
        ),
        autograph=False,
        jit_compile=jit_compile,
    )
    masks = np.ones((1, 3, 20, 24), "float32")
    for size, num_points in (((5, 6), 15), ((10, 12), 20)):
        logits = rng.normal(size=(1, 2, 3, *size)).astype("float32")
        found, gradient = function(logits, masks)
        assert found.shape == (1, 2, 3, num_points)
        assert gradient.shape == logits.shape
        # Each point's weights on its neighbors sum to one.
        np.testing.assert_allclose(
            tf.reduce_sum(gradient), 6 * num_points, rtol=1e-4
        )


def test_points_change_with_the_predictions_and_with_nothing_else(rng):
    y_true, y_pred = batch(rng)
    loss = HungarianLoss(
        [*detr_terms(), *point_mask_terms(points=UncertainPoints(15))]
    )
    again = HungarianLoss.from_config(loss.get_config())
    compiled = trained(lambda y: loss(y_true, y))
    first = float(compiled(y_pred))
    assert float(compiled(y_pred)) == first
    np.testing.assert_allclose(float(again(y_true, y_pred)), first, rtol=1e-5)
    points = loss.terms[-1].points
    masks = y_true["masks"].astype("float32")
    logits = [scale * y_pred["masks"][:, None] for scale in (1.0, 1.001)]
    chosen = [to_numpy(points.of_all(x, masks)[1]) for x in logits]
    assert (chosen[0] != chosen[1]).any()


def test_interpolation_is_linear_and_ends_at_the_edge():
    maps = np.array([[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]], "float32")
    points = np.array(
        [[0.25, 0.5], [0.5, 0.5], [0.75, 1 / 3], [0, 0], [0.99, 0.99]],
        "float32",
    )
    found = to_numpy(interpolate(maps, points))
    np.testing.assert_allclose(found, [[1, 6, 10.5, 0, 12]], rtol=1e-6)


def test_masks_that_are_missing_or_do_not_fit_are_refused(rng):
    y_true, y_pred = batch(rng)
    loss = HungarianLoss([*detr_terms(), *mask_terms()])
    without = {key: x for key, x in y_true.items() if key != "masks"}
    with pytest.raises(
        ValueError, match="'mask_loss' needs 'masks' in `y_true`"
    ):
        loss(without, y_pred)
    boxes_only = {key: y_pred[key] for key in ("logits", "boxes")}
    with pytest.raises(ValueError, match="in `y_pred`: build the model with"):
        loss(y_true, boxes_only)
    wrong = {**y_true, "masks": y_true["masks"][:, :2]}
    with pytest.raises(ValueError, match=r"\(3, 2, 16, 11\), labels.shape"):
        loss(wrong, y_pred)


def test_groups_are_matched_by_what_they_predict(rng):
    """Their queries have no masks, so these are no part of their cost."""
    y_true, y_pred = batch(rng)
    rest = {key: y_pred[key] for key in ("logits", "boxes")}
    y_pred |= {f"group_{key}": x[:, None] for key, x in rest.items()}
    found = values_of(
        point_mask_terms(points=UncertainPoints(9)), y_true, y_pred
    )
    alone = values_of([], y_true, rest)
    np.testing.assert_allclose(
        found["group_box_loss"], alone["box_loss"], rtol=1e-6
    )
    assert "group_mask_loss" not in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_points": 0}, "num_points"),
        ({"oversampling": 0.5}, "oversampling=0.5"),
        ({"importance": 1.5}, "importance=1.5"),
    ],
)
def test_numbers_of_points_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        UncertainPoints(**arguments)


def test_denoised_queries_without_masks_leave_the_terms_out(rng):
    y_true, y_pred = batch(rng)
    count = 2 * LABELS.shape[1]
    y_pred["denoising_logits"] = np.zeros((3, 1, count, 4), "float32")
    y_pred["denoising_boxes"] = np.full((3, 1, count, 4), 0.5, "float32")
    found = values_of(mask_terms(), y_true, y_pred)
    assert "denoising_box_loss" in found
    assert "denoising_mask_loss" not in found
    y_pred["denoising_masks"] = np.zeros((3, 1, count, 8, 6), "float32")
    found = values_of(mask_terms(), y_true, y_pred)
    # A mask of logits 0 is 0.5 everywhere; two copies of each target count.
    own = y_true["masks"][LABELS >= 0].mean()
    expected = np.log(2) / 4 * (0.25 * own + 0.75 * (1 - own))
    np.testing.assert_allclose(
        found["denoising_mask_loss"], [expected], rtol=1e-5
    )
