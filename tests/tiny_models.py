"""Models that are built within a second, and data that fit them."""

import keras

from keras_vtr.backbones import build_convolution_stem
from keras_vtr.losses import HungarianLoss
from keras_vtr.models import build_detr
from keras_vtr.models import build_rf_detr
from keras_vtr.models import build_vit

IMAGE_SHAPE = (16, 16, 1)
TINY_RESNET = {"num_blocks": (1, 1, 2, 2), "width": 8}


def tiny_detr(**change):
    """For gray images of `IMAGE_SHAPE`, as `batch` makes them."""
    config = {
        "num_classes": 3,
        "image_shape": IMAGE_SHAPE,
        "num_queries": 4,
        "hidden_dim": 8,
        "num_heads": 2,
        "mlp_dim": 8,
        "num_encoder_layers": 1,
        "num_decoder_layers": 2,
        "dropout": 0.0,
        "pixel_mean": 0.0,
        "pixel_std": 255.0,
    }
    return _with_stem(config | change)


def color_detr(**change):
    """For color images, with the default normalization and dropout."""
    config = {
        "num_classes": 7,
        "image_shape": (32, 48, 3),
        "num_queries": 5,
        "hidden_dim": 12,
        "num_heads": 3,
        "mlp_dim": 16,
        "num_encoder_layers": 1,
        "num_decoder_layers": 3,
    }
    return _with_stem(config | change)


def _with_stem(config):
    if "backbone" not in config:
        config["backbone"] = build_convolution_stem(config["image_shape"])
    return build_detr(**config)


def batch(rng, num_images=4):
    images = pixels(rng, num_images, *IMAGE_SHAPE)
    y_true = {
        "labels": rng.integers(-1, 3, size=(num_images, 2)).astype("int32"),
        "boxes": rng.uniform(0.3, 0.6, size=(num_images, 2, 4)),
    }
    y_true["boxes"] = y_true["boxes"].astype("float32")
    return images, y_true


def pixels(rng, *shape):
    return rng.uniform(0, 255, size=shape).astype("float32")


def compiled(model, **options):
    model.compile(keras.optimizers.AdamW(1e-2), loss=HungarianLoss(), **options)
    return model


def tiny_vit(num_classes=3, **change):
    config = {
        "image_shape": (24, 32, 3),
        "patch_size": 8,
        "num_layers": 1,
        "hidden_dim": 12,
        "mlp_dim": 16,
    }
    return build_vit(num_classes, size="tiny", **config | change)


def tiny_rf_detr(image_shape=(32, 32, 3), num_classes=3, **change):
    vit = build_vit(
        0,
        size="tiny",
        image_shape=image_shape,
        position_grid=(4, 4) if None in image_shape else None,
        patch_size=8,
        num_layers=3,
        hidden_dim=12,
        mlp_dim=16,
    )
    config = {
        "vit": vit,
        "image_shape": image_shape,
        "feature_blocks": (0, 2),
        "global_blocks": (1,),
        "num_queries": 5,
        "hidden_dim": 16,
        "num_heads": 2,
        "mlp_dim": 16,
    }
    return build_rf_detr(num_classes, **config | change)


def randomize(model):
    """All weights; a head of zeros would hide every error."""
    for weight in model.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.3))
    return model


def randomize_norms(model, rng):
    """Norms that aren't the identity, and residuals that stay small."""
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith("gamma"):
            weight.assign(rng.uniform(0.3, 0.6, weight.shape))
        elif weight.path.endswith(("beta", "moving_mean")):
            weight.assign(rng.normal(0.0, 0.2, weight.shape))
