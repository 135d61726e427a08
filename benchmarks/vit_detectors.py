"""The detectors on a ViT that the benchmarks compare, with random weights.

In the tasks "RF-DETR-N" and "RF-DETR-S" both sides are RF-DETRs of these sizes.
In "ViT-S/16" ours is `build_detr(size="modern")` on a ViT-S/16 whose blocks
have windows but for four, transformers' is RF-DETR on the same: both have 300
queries and three decoder layers. RF-DETR reads the features of four blocks,
through convolutions, and has deformable attention in its decoder; ours reads
the last block's, and attends to all of them with a bias from boxes. `tiny` ones
are to be tried, not measured.
"""

import re

NUM_CLASSES = 91
SMALL_VIT = {"num_layers": 2, "hidden_dim": 32, "mlp_dim": 64, "num_heads": 2}


def side_of(task):
    return int(re.search(r"(\d+) x", task)[1])


def task_of(side, tiny):
    """The task of the detector of our own parts."""
    return f"ViT-S/16, {side} x {side}" + (", tiny" if tiny else "")


def is_tiny(task):
    return task.endswith("tiny")


def size_of(task):
    """Of an RF-DETR; None for the detector of our own parts."""
    found = re.search(r"RF-DETR-(\w)", task)
    return found and {"N": "nano", "S": "small"}[found[1]]


def our_detector(task):
    import keras_vtr

    side, size, tiny = side_of(task), size_of(task), is_tiny(task)
    shape = (side, side, 3)
    if size is not None:
        options = {"num_queries": 30} if tiny else {}
        return keras_vtr.models.build_rf_detr(
            NUM_CLASSES, size=size, image_shape=shape, **options
        )
    vit = keras_vtr.models.build_vit(
        0, size="small", image_shape=shape, **(SMALL_VIT if tiny else {})
    )
    backbone = keras_vtr.backbones.build_vit_backbone(
        vit, shape, window_size=side // 32
    )
    return keras_vtr.models.build_detr(
        NUM_CLASSES,
        size="modern",
        image_shape=shape,
        backbone=backbone,
        num_queries=30 if tiny else 300,
        pixel_mean=127.5,
        pixel_std=127.5,
    )


def rf_detr(task, num_groups=1):
    """transformers' RF-DETR; by default without groups, as in inference."""
    import transformers

    side, size = side_of(task), size_of(task)
    tiny = is_tiny(task) and size is None
    config = transformers.RfDetrConfig(
        num_labels=NUM_CLASSES,
        num_queries=30 if is_tiny(task) else 300,
        decoder_layers=2 if size == "nano" else 3,
        decoder_n_points=2,
        dropout=0.0,
        group_detr=num_groups,
        backbone_config={  # RF-DETR's, with patches of 16
            "model_type": "rf_detr_dinov2",
            "hidden_size": SMALL_VIT["hidden_dim"] if tiny else 384,
            "num_attention_heads": SMALL_VIT["num_heads"] if tiny else 6,
            "image_size": side,
            "patch_size": 16,
            "num_windows": 2,
            "out_features": ["stage3", "stage6", "stage9", "stage12"],
            "window_block_indexes": [0, 1, 2, 4, 5, 7, 8, 10, 11],
        },
    )
    return transformers.RfDetrForObjectDetection(config)
