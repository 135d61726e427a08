"""DETR's checkpoints without the reference: what the names alone tell."""

import json

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_vtr.backbones import build_resnet
from keras_vtr.checkpoints import CheckpointError
from keras_vtr.checkpoints import detr_names
from keras_vtr.checkpoints import from_pretrained
from keras_vtr.checkpoints import load_weights
from keras_vtr.checkpoints import resnet_names
from keras_vtr.models import build_detr

TINY = {
    "image_shape": (None, None, 3),
    "num_queries": 7,
    "hidden_dim": 16,
    "num_heads": 8,
    "mlp_dim": 24,
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
}


def tiny_resnet(**options):
    return build_resnet((None, None, 3), (1, 1, 1, 1), width=8, **options)


def authors_tensors(rng, num_classes=5, masks=False):
    """What the authors' file of a tiny model would hold: names, values."""
    resnet = resnet_tensors(rng, "backbone.0.body.")
    sizes = {
        "input_proj": (16, 256, 1, 1),
        "class_embed": (num_classes + 1, 16),
    }
    sizes |= {f"bbox_embed.layers.{i}": (16, 16) for i in range(2)}
    sizes["bbox_embed.layers.2"] = (4, 16)
    tensors = {"query_embed.weight": (7, 16)}
    for stack, num_layers in (("encoder", 1), ("decoder", 2)):
        for i in range(num_layers):
            layer = f"transformer.{stack}.layers.{i}"
            attentions = ["self_attn", "multihead_attn"]
            for name in attentions[: 1 + (stack == "decoder")]:
                tensors[f"{layer}.{name}.in_proj_weight"] = (48, 16)
                tensors[f"{layer}.{name}.in_proj_bias"] = (48,)
                sizes[f"{layer}.{name}.out_proj"] = (16, 16)
            sizes[f"{layer}.linear1"] = (24, 16)
            sizes[f"{layer}.linear2"] = (16, 24)
            for j in range(2 + (stack == "decoder")):
                sizes[f"{layer}.norm{j + 1}"] = (16,)
    sizes["transformer.decoder.norm"] = (16,)
    if masks:
        sizes |= {"bbox_attention.q_linear": (16, 16)}
        sizes |= {"bbox_attention.k_linear": (16, 16)}
        widths = (24, 24, 8, 4, 2, 1)
        for i in range(5):
            shape = (widths[i + 1], widths[i], 3, 3)
            sizes[f"mask_head.lay{i + 1}"] = shape
            sizes[f"mask_head.gn{i + 1}"] = shape[:1]
        for i, width in enumerate((128, 64, 32)):
            sizes[f"mask_head.adapter{i + 1}"] = (widths[i + 2], width, 1, 1)
        sizes["mask_head.out_lay"] = (1, 1, 3, 3)
    for name, shape in sizes.items():
        tensors[f"{name}.weight"] = shape
        tensors[f"{name}.bias"] = (shape[0],)
    values = {k: rng.normal(0, 0.2, x) for k, x in tensors.items()}
    values = {k: x.astype("float32") for k, x in values.items()} | resnet
    heads = ("mask_head", "bbox_attention")
    return {
        k if not masks or k.startswith(heads) else f"detr.{k}": x
        for k, x in values.items()
    }


def resnet_tensors(rng, prefix=""):
    """A tiny ResNet's tensors under torchvision's names."""
    tensors = {}
    names = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    for weight in tiny_resnet().weights:
        layer, kind = weight.path.split("/")
        module = "conv1" if kind == "kernel" else "bn1"
        if layer != "stem_convolution":
            _, stage, _, block, part = layer.split("_", 4)
            if part == "projection":
                module = f"downsample.{0 if kind == 'kernel' else 1}"
            else:
                number = int(part[-1]) + 1
                module = f"{'conv' if kind == 'kernel' else 'bn'}{number}"
            module = f"layer{int(stage) + 1}.{block}.{module}"
        value = abs(rng.normal(0.0, 0.2, weight.shape)).astype("float32")
        if kind == "kernel":
            value = np.transpose(value, (3, 2, 0, 1))
        tensors[f"{prefix}{module}.{names[kind]}"] = value
        if kind == "gamma":
            key = f"{prefix}{module}.num_batches_tracked"
            tensors[key] = np.array(7)
    return tensors


def save(tensors, path):
    tensors = {k: np.ascontiguousarray(x) for k, x in tensors.items()}
    safetensors.numpy.save_file(tensors, path / "detr.safetensors")
    return path / "detr.safetensors"


def outputs(model, rng):
    images = np.random.default_rng(7).uniform(0, 255, (1, 48, 64, 3))
    found = model(images.astype("float32"))
    return {k: keras.ops.convert_to_numpy(x) for k, x in found.items()}


def test_every_tensor_finds_its_place(rng, tmp_path, capsys):
    model = from_pretrained(save(authors_tensors(rng), tmp_path))
    report = capsys.readouterr().out
    assert "Left in the checkpoint" not in report
    assert "assumed not. Give `dilation=True` if it is." in report
    assert model.get_layer("decoder").num_layers == 2
    assert outputs(model, rng)["logits"].shape == (1, 7, 6)


def test_a_new_class_head_believes_in_no_object_as_much_as_in_objects(
    rng, tmp_path, capsys
):
    path = save(authors_tensors(rng), tmp_path)
    own = outputs(from_pretrained(path), rng)
    new = outputs(from_pretrained(path, num_classes=20), rng)
    assert "New, since the checkpoint has none that fit: class_head/ker" in (
        capsys.readouterr().out
    )
    np.testing.assert_array_equal(own["boxes"], new["boxes"])
    probabilities = np.exp(new["logits"])
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probabilities[..., -1], 0.5, rtol=1e-5)
    np.testing.assert_allclose(probabilities[..., :-1], 0.025, rtol=1e-5)


def test_fewer_queries_are_the_first_ones_and_it_says_so(rng, tmp_path, capsys):
    path = save(authors_tensors(rng), tmp_path)
    all_of_them = from_pretrained(path)
    some = from_pretrained(path, num_queries=3)
    assert "Of 7 queries the first 3 were kept." in capsys.readouterr().out
    all_of_them, some = (
        keras.ops.convert_to_numpy(x.get_layer("object_queries").queries)
        for x in (all_of_them, some)
    )
    np.testing.assert_array_equal(some, all_of_them[:, :3])
    with pytest.raises(CheckpointError, match="has 7 queries, and more can't"):
        from_pretrained(path, num_queries=8)


@pytest.mark.parametrize(("num_slots", "num_names"), [(91, 80), (250, 133)])
def test_coco_s_classes_have_their_names_and_holes(
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
    assert "Left in the checkpoint: " in capsys.readouterr().out
    detection = save(authors_tensors(rng), tmp_path)
    assert "masks" in outputs(from_pretrained(detection, masks=True), rng)
    assert "mask_head/" in capsys.readouterr().out


def test_weights_go_into_a_model_that_exists(rng, tmp_path):
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
        ({"num_classes": 6}, "`new_head=True` makes a new head"),
        ({"num_queries": 9}, "has \\(1, 9, 16\\). Nothing was loaded"),
        ({"mlp_dim": 32}, "Nothing was loaded"),
        ({"pixel_mean": 0.0, "pixel_deviation": 255.0}, "trained with pixel_m"),
    ],
)
def test_a_model_that_computes_otherwise_is_refused(
    change, message, rng, tmp_path
):
    path = save(authors_tensors(rng), tmp_path)
    config = {"num_classes": 5, **TINY, "backbone": tiny_resnet(), **change}
    model = build_detr(**config)
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"activation_function": "gelu"}, "build_detr has 'relu'"),
        ({"position_embedding_type": "learned"}, "build_detr has 'sine'"),
        ({"model_type": "conditional_detr"}, "build_detr has 'detr'"),
        (
            {"encoder_attention_heads": 8, "decoder_attention_heads": 4},
            "different attention_heads",
        ),
        (
            {"backbone_config": {"downsample_in_bottleneck": True}},
            "has the stride in the 3 x 3",
        ),
    ],
)
def test_other_architectures_are_refused(config, message, rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        from_pretrained(path)


def test_a_tensor_too_few_or_too_many_is_refused(rng, tmp_path):
    tensors = authors_tensors(rng)
    del tensors["transformer.decoder.layers.1.norm2.bias"]
    with pytest.raises(CheckpointError, match=r"layers\.1\.norm2\.bias"):
        from_pretrained(save(tensors, tmp_path))
    tensors = authors_tensors(rng) | {"more": np.ones(3, "float32")}
    with pytest.raises(CheckpointError, match=r"belong to no known part.*more"):
        from_pretrained(save(tensors, tmp_path))


def test_a_basic_block_is_no_bottleneck(rng, tmp_path):
    tensors = {k: x for k, x in authors_tensors(rng).items() if "3" not in k}
    with pytest.raises(CheckpointError, match="is no ResNet with bottlenecks"):
        from_pretrained(save(tensors, tmp_path))


@pytest.mark.parametrize(
    "config", [{"dilation": True}, {"backbone_config": {"output_stride": 16}}]
)
def test_config_json_tells_of_dc5(config, rng, tmp_path):
    path = save(authors_tensors(rng), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    detr = from_pretrained(path)
    plain = from_pretrained(path, dilation=False)
    widths = [
        x.get_layer("resnet").get_layer("stage_3_block_0_convolution_1").strides
        for x in (detr, plain)
    ]
    assert widths == [1, 2]


def test_dc5_s_weights_don_t_go_into_a_model_without_dilation():
    recipe = detr_names.DetrRecipe(
        "DETR",
        {"normalize_first": False, "num_heads": 8},
        {},
        knows_pixels=False,
        resnet={"dilation": True},
    )
    models = [
        build_detr(5, **TINY, backbone=tiny_resnet(dilation=x))
        for x in (True, False)
    ]
    wrong = [recipe.wrong_settings(model) for model in models]
    assert wrong == [[], ["dilation=True (DC5) in the backbone"]]
    recipe.knows_dilation = False
    assert recipe.wrong_settings(models[1]) == []


def test_a_resnet_alone_becomes_a_backbone(rng, tmp_path):
    head = {"fc.weight": np.ones((9, 256), "float32")}
    path = save(resnet_tensors(rng) | head, tmp_path)
    resnet = from_pretrained(path, verbose=False)
    again = tiny_resnet()
    report = load_weights(again, path)
    assert report.unexpected == ("fc.weight",)
    image = np.ones((1, 32, 32, 3), "float32")
    for a, b in zip(resnet(image), again(image), strict=True):
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(x) for x in (a, b))
        )
    with pytest.raises(CheckpointError, match="has no classes"):
        from_pretrained(path, num_classes=3)


def test_the_layouts_tell_files_apart(rng):
    detr = {k: x.shape for k, x in authors_tensors(rng).items()}
    resnet = {k: x.shape for k, x in resnet_tensors(rng).items()}
    assert detr_names.recognize(detr) and not detr_names.recognize(resnet)
    assert resnet_names.recognize(resnet) and not resnet_names.recognize(detr)
