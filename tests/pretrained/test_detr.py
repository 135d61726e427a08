"""DETR's outputs equal to transformers', live, at random weights."""

import numpy as np
import pytest

from keras_vtr.pretrained import from_pretrained
from tests.parity import torch
from tests.parity import transformers
from tests.pretrained.detr_parity import SMALL
from tests.pretrained.detr_parity import assert_equal
from tests.pretrained.detr_parity import authors_names
from tests.pretrained.detr_parity import padded_batch
from tests.pretrained.detr_parity import randomize
from tests.pretrained.detr_parity import save_with_timm_names
from tests.pretrained.detr_parity import theirs
from tests.pretrained.hugging_face_folders import save
from tests.pretrained.hugging_face_folders import save_as_version_5

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
]

TINY_RESNET = {
    "depths": [1, 1, 2, 2],
    "embedding_size": 8,
    "hidden_sizes": [32, 64, 128, 256],
}
R50, R101 = {"depths": [3, 4, 6, 3]}, {"depths": [3, 4, 23, 3]}
PAPER = {"num_labels": 91}


def make(resnet, config, panoptic=False, dilation=False):
    """A DETR of transformers with random weights everywhere."""
    torch.manual_seed(3)
    stages = [f"stage{i}" for i in range(1, 5)]
    backbone = transformers.ResNetConfig(**resnet, out_features=stages)
    config = transformers.DetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        dilation=dilation,
        **config,
    )
    name = "DetrForSegmentation" if panoptic else "DetrForObjectDetection"
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        randomize(model)
    if dilation:
        dilate(model)
    return model


def dilate(model):
    """DC5 as torchvision makes it; transformers has it with timm only."""
    for path, module in model.named_modules():
        if "stages.3." in path and isinstance(module, torch.nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3) and ".layers.0." not in path:
                module.dilation = module.padding = (2, 2)


@pytest.mark.parametrize(
    ("resnet", "dilation"),
    [(R50, False), (R50, True), (R101, False), (R101, True)],
    ids=["R50", "R50-DC5", "R101", "R101-DC5"],
)
def test_the_paper_s_models_equal_theirs_on_a_padded_batch(
    resnet, dilation, tmp_path, rng
):
    model = make(resnet, PAPER, dilation=dilation)
    images, mask = padded_batch(rng)
    expected = theirs(model, images, mask)
    ours = from_pretrained(save(model, tmp_path), padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, expected)


@pytest.mark.parametrize("panoptic", [False, True])
@pytest.mark.parametrize(
    "writer", [save, save_as_version_5, save_with_timm_names]
)
def test_all_kinds_of_names_and_both_models(writer, panoptic, tmp_path, rng):
    model = make(TINY_RESNET, SMALL, panoptic)
    images, mask = padded_batch(rng)
    expected = theirs(model, images, mask)
    assert len(expected) == 2 + panoptic
    ours = from_pretrained(writer(model, tmp_path), padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, expected)
    unpadded = theirs(model, images, np.ones_like(mask))
    assert_equal(from_pretrained(tmp_path)(images), unpadded)


@pytest.mark.parametrize("dilation", [False, True])
@pytest.mark.parametrize("panoptic", [False, True])
def test_the_authors_files(panoptic, dilation, tmp_path, rng):
    model = make(TINY_RESNET, SMALL, panoptic, dilation)
    path = tmp_path / "detr.pth"
    torch.save({"model": authors_names(model)}, path)
    images, mask = padded_batch(rng)
    mean, std = np.array([0.485, 0.456, 0.406]), [0.229, 0.224, 0.225]
    expected = theirs(model, images, mask, mean, np.array(std))
    ours = from_pretrained(path, padding="published", dilation=dilation)
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, expected)


def test_a_mask_head_s_coarser_maps_may_not_divide(tmp_path, rng):
    model = make(TINY_RESNET, SMALL, panoptic=True)
    images, mask = padded_batch(rng, ((75, 141), (33, 90)))
    expected = theirs(model, images, mask)
    ours = from_pretrained(save(model, tmp_path), padding="published")
    outputs = ours({"images": images, "padding_mask": mask})
    assert_equal(outputs, expected)
