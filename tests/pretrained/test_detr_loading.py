"""DETR's weights, without a reference implementation."""

import json

import keras
import numpy as np
import pytest

from keras_vtr.models import build_detr
from keras_vtr.pretrained import PretrainedError
from keras_vtr.pretrained import from_pretrained
from keras_vtr.pretrained import load_weights
from keras_vtr.pretrained.detr import names as detr_names
from keras_vtr.pretrained.resnet import names as resnet_names
from tests.pretrained.detr_tensors import TINY
from tests.pretrained.detr_tensors import authors_tensors
from tests.pretrained.detr_tensors import resnet_tensors
from tests.pretrained.detr_tensors import save
from tests.pretrained.detr_tensors import tiny_resnet


def outputs(model, rng):
    images = np.random.default_rng(7).uniform(0, 255, (1, 48, 64, 3))
    found = model(images.astype("float32"))
    return {k: keras.ops.convert_to_numpy(x) for k, x in found.items()}


def test_every_tensor_is_loaded(rng, tmp_path, capsys):
    model = from_pretrained(save(authors_tensors(rng), tmp_path))
    report = capsys.readouterr().out
    assert "Left in the file" not in report
    assert "assumed not. Give `dilation=True` if it is." in report
    assert model.get_layer("decoder").num_layers == 2
    assert outputs(model, rng)["logits"].shape == (1, 7, 6)


def test_in_a_new_class_head_no_object_is_as_likely_as_all_classes(
    rng, tmp_path, capsys
):
    path = save(authors_tensors(rng), tmp_path)
    own = outputs(from_pretrained(path), rng)
    new = outputs(from_pretrained(path, num_classes=20), rng)
    assert "New, since the file has none that fit: class_head/ker" in (
        capsys.readouterr().out
    )
    np.testing.assert_array_equal(own["boxes"], new["boxes"])
    probabilities = np.exp(new["logits"])
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probabilities[..., -1], 0.5, rtol=1e-5)
    np.testing.assert_allclose(probabilities[..., :-1], 0.025, rtol=1e-5)


def test_a_new_sigmoid_head_starts_with_its_prior(rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    for num_classes in (1, 20):
        new = from_pretrained(
            path, num_classes=num_classes, classifier="sigmoid"
        )
        bias = new.get_layer("class_head").weights[-1]
        assert bias.shape == (num_classes,)
        np.testing.assert_allclose(bias, -np.log(99), rtol=1e-6)


def test_a_softmax_s_classes_are_no_sigmoid_s(rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    with pytest.raises(PretrainedError, match="`new_head=True` makes a new"):
        from_pretrained(path, classifier="sigmoid")
    modern = build_detr(5, size="modern_small", image_shape=(64, 64, 3))
    with pytest.raises(PretrainedError, match="classifier='softmax'"):
        load_weights(modern, path)
    without_encoder = build_detr(5, size="small", num_encoder_layers=0)
    with pytest.raises(PretrainedError):
        load_weights(without_encoder, path)


def test_fewer_queries_are_the_first_ones_and_reported(rng, tmp_path, capsys):
    path = save(authors_tensors(rng), tmp_path)
    all_of_them = from_pretrained(path)
    some = from_pretrained(path, num_queries=3)
    assert "Of 7 queries the first 3 were kept." in capsys.readouterr().out
    all_of_them, some = (
        keras.ops.convert_to_numpy(x.get_layer("object_queries").queries)
        for x in (all_of_them, some)
    )
    np.testing.assert_array_equal(some, all_of_them[:, :3])
    with pytest.raises(PretrainedError, match="`num_queries` must be 7 or l"):
        from_pretrained(path, num_queries=8)


@pytest.mark.parametrize(("num_slots", "num_names"), [(91, 80), (250, 133)])
def test_coco_s_classes_have_names_and_unused_ids(
    num_slots, num_names, rng, tmp_path
):
    path = save(authors_tensors(rng, num_slots), tmp_path)
    names = from_pretrained(path).class_names
    assert len(names) == num_slots
    assert sum(name is not None for name in names) == num_names
    assert names[0] is None and names[1] == "person" and names[12] is None
    assert names[90] == "toothbrush" and "N/A" not in names
    assert from_pretrained(path, num_classes=3).class_names is None
    named = from_pretrained(path, num_classes=2, class_names=["a", "b"])
    assert named.class_names == ("a", "b")


def test_config_json_names_the_classes(rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    labels = dict(enumerate(["N/A", "cat", "dog", "cow", "pig"]))
    config = {"model_type": "detr", "id2label": labels}
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = from_pretrained(path).class_names
    assert names == (None, "cat", "dog", "cow", "pig")


def test_a_mask_head_is_loaded_left_out_or_new(rng, tmp_path, capsys):
    panoptic = save(authors_tensors(rng, masks=True), tmp_path)
    assert "masks" in outputs(from_pretrained(panoptic), rng)
    capsys.readouterr()
    assert "masks" not in outputs(from_pretrained(panoptic, masks=False), rng)
    assert "Left in the file: " in capsys.readouterr().out
    detection = save(authors_tensors(rng), tmp_path)
    assert "masks" in outputs(from_pretrained(detection, masks=True), rng)
    assert "mask_head/" in capsys.readouterr().out


def test_weights_are_loaded_into_an_existing_model(rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    expected = outputs(from_pretrained(path), rng)
    model = build_detr(5, **TINY, backbone=tiny_resnet())
    load_weights(model, path)
    for key, value in outputs(model, rng).items():
        np.testing.assert_array_equal(value, expected[key])
    other = build_detr(9, **TINY, backbone=tiny_resnet(), masks=True)
    report = load_weights(other, path, new_head=True)
    assert {x.split("/")[0] for x in report.missing} == {
        "class_head",
        "mask_head",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 4}, "trained with num_heads=8, not 4"),
        ({"normalize_first": True}, "trained with normalize_first=False"),
        ({"classifier": "sigmoid"}, "trained with classifier='softmax'"),
        ({"num_classes": 6}, "`new_head=True` makes a new head"),
        ({"num_queries": 9}, "has \\(1, 9, 16\\). Nothing was loaded"),
        ({"mlp_dim": 32}, "Nothing was loaded"),
        ({"pixel_mean": 0.0, "pixel_std": 255.0}, "trained with pixel_m"),
    ],
)
def test_a_model_with_other_settings_is_refused(change, message, rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    heads = {"encoder_attention_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(heads))
    config = {"num_classes": 5, **TINY, "backbone": tiny_resnet(), **change}
    model = build_detr(**config)
    before = model.get_weights()
    with pytest.raises(PretrainedError, match=message):
        load_weights(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"activation_function": "gelu"}, "`activation_function` must be 'r"),
        ({"position_embedding_type": "learned"}, "must be 'sine'"),
        (
            {"model_type": "conditional_detr"},
            r"must be one of \['detr', 'table-transformer'\].*conditional_detr",
        ),
        ({"model_type": "table-transformer"}, "`model_type` must be 'detr'"),
        ({"two_stage": True}, "not known here.*`two_stage`=True"),
        ({"encoder_layers": 2}, "`encoder_layers` must be 1"),
        (
            {"encoder_attention_heads": 8, "decoder_attention_heads": 4},
            "`decoder_attention_heads` must be 8",
        ),
        ({"backbone": "resnetaa50"}, "`backbone` must be a plain ResNet"),
        ({"id2label": {"9": "cat"}}, "`id2label` must be a dict from '0'"),
        *(
            (
                {"backbone_config": {key: value}},
                rf"`backbone_config\.{key}` must",
            )
            for key, value in {
                "downsample_in_bottleneck": True,
                "downsample_in_first_stage": True,
                "hidden_act": "gelu",
                "layer_type": "basic",
                "depths": [1, 1],
                "out_features": ["stage3"],
                "out_indices": [1, 2],
                "output_stride": 8,
            }.items()
        ),
        (
            {"backbone_config": {"what": 1}},
            r"not known here.*`backbone_config\.what`=1",
        ),
        (
            {
                "backbone_config": {
                    "model_type": "timm_backbone",
                    "backbone": "resnetblur50",
                }
            },
            r"`backbone_config\.backbone` must be a plain",
        ),
    ],
)
def test_other_architectures_are_refused(config, message, rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(path)


def test_a_tensor_too_few_or_too_many_is_refused(rng, tmp_path):
    tensors = authors_tensors(rng)
    del tensors["transformer.decoder.layers.1.norm2.bias"]
    with pytest.raises(PretrainedError, match=r"layers\.1\.norm2\.bias"):
        from_pretrained(save(tensors, tmp_path))
    tensors = authors_tensors(rng) | {"more": np.ones(3, "float32")}
    with pytest.raises(
        PretrainedError, match=r"belong to no known weight.*more"
    ):
        from_pretrained(save(tensors, tmp_path))


def test_a_detr_without_a_resnet_is_refused(rng, tmp_path):
    tensors = authors_tensors(rng)
    tensors = {k: x for k, x in tensors.items() if ".body.layer1" not in k}
    with pytest.raises(PretrainedError, match="is no ResNet that build_resnet"):
        from_pretrained(save(tensors, tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layers.0.ca_qcontent_proj.weight", "of Conditional DETR or DAB-DETR"),
        ("query_refpoint_embeddings.weight", "is of DAB-DETR"),
        ("layers.0.sampling_offsets.weight", "is of Deformable DETR, since"),
        ("transformer.pos_trans.weight", "is of Deformable DETR of two stages"),
    ],
)
def test_successors_with_the_same_names_are_refused(
    name, message, rng, tmp_path
):
    tensors = authors_tensors(rng) | {name: np.ones((4, 4), "float32")}
    has_own_queries = name.endswith(detr_names.OTHER_QUERIES)
    if has_own_queries:
        del tensors["query_embed.weight"]
    with pytest.raises(PretrainedError, match=f"{message}.*build_detr makes"):
        from_pretrained(save(tensors, tmp_path))


@pytest.mark.parametrize(
    "config", [{"dilation": True}, {"backbone_config": {"output_stride": 16}}]
)
def test_config_json_may_have_dc5(config, rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    detr = from_pretrained(path)
    plain = from_pretrained(path, dilation=False)
    widths = [
        x.get_layer("resnet").get_layer("stage_3_block_0_convolution_1").strides
        for x in (detr, plain)
    ]
    assert widths == [1, 2]


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_dc5_s_weights_are_refused_for_a_model_without_dilation(block):
    name_map = detr_names.DetrNameMap(
        "DETR",
        {"normalize_first": False, "num_heads": None},
        {},
        knows_pixels=False,
        resnet={"dilation": True},
    )
    models = [
        build_detr(5, **TINY, backbone=tiny_resnet(dilation=x, block=block))
        for x in (True, False)
    ]
    wrong = [name_map.wrong_settings(model) for model in models]
    assert wrong == [[], ["dilation=True (DC5) in the backbone"]]
    name_map.resnet["dilation"] = None  # unknown
    assert name_map.wrong_settings(models[1]) == []


def test_a_file_is_recognized_by_one_family(rng):
    detr = {k: x.shape for k, x in authors_tensors(rng).items()}
    resnet = {k: x.shape for k, x in resnet_tensors(rng).items()}
    assert detr_names.recognize(detr) and not detr_names.recognize(resnet)
    assert resnet_names.recognize(resnet) and not resnet_names.recognize(detr)


def test_unknown_settings_are_assumed_and_reported(rng, tmp_path, capsys):
    path = save(authors_tensors(rng), tmp_path)
    block = from_pretrained(path).get_layer("encoder").block
    assert block.attention.num_heads == 8
    report = capsys.readouterr().out
    assert "the number of heads; assumed 8. Give `num_heads`" in report
    four = from_pretrained(path, num_heads=4, verbose=False)
    assert four.get_layer("decoder").block.num_heads == 4
    assert "assumed 8" in " ".join(load_weights(four, path).remarks)


def test_a_file_without_class_head_gets_a_new_one(rng, tmp_path):
    tensors = authors_tensors(rng)
    del tensors["class_embed.weight"], tensors["class_embed.bias"]
    path = save(tensors, tmp_path)
    model = from_pretrained(path, num_classes=3, verbose=False)
    assert model.num_classes == 3
    with pytest.raises(PretrainedError, match=r"head\. Give `num_classes`"):
        from_pretrained(path)
    with pytest.raises(PretrainedError, match="`new_head=True` makes a new"):
        load_weights(model, path)
    report = load_weights(model, path, new_head=True)
    assert report.missing == ("class_head/kernel", "class_head/bias")
