"""The detectors on a ViT that the benchmarks compare, with random weights.

Ours is `build_detr(size="modern")` on a ViT-S/16 whose blocks have windows but
for four, transformers' is RF-DETR on the same: both have 300 queries and three
decoder layers. RF-DETR reads the features of four blocks, through convolutions,
and has deformable attention in its decoder; ours reads the last block's, and
attends to all of them with a bias from boxes. `tiny` ones are to be tried, not
measured.
"""

NUM_CLASSES = 91
SMALL_VIT = {"num_layers": 2, "hidden_dim": 32, "mlp_dim": 64, "num_heads": 2}


def our_detector(side, tiny=False):
    import keras_vtr

    shape = (side, side, 3)
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


def rf_detr(side, tiny=False):
    import transformers

    config = transformers.RfDetrConfig(
        num_labels=NUM_CLASSES,
        num_queries=30 if tiny else 300,
        decoder_layers=3,
        group_detr=1,  # of queries in training: ours has no further ones
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
