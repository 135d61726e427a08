"""A small DETR from loose layers, whose parts can be taken away.

    python examples/claims/digit_detr.py

trains it for 20 steps, which takes 20 seconds. Expect AP 0.000: the
experiments that import it train a hundred times as long.
"""

import experiment  # noqa: F401, quiets TensorFlow before it is imported
import keras

from keras_vtr import backbones
from keras_vtr import data
from keras_vtr import layers
from keras_vtr import losses
from keras_vtr import metrics
from keras_vtr import models

IMAGE_SHAPE = (64, 64, 1)
PARTS = (layers.MultiHeadAttention(4), layers.FeedForward(192))
NUM_HELD_OUT = 500


def build_features():
    """Images to the feature map that all detectors here read."""
    images = keras.Input(IMAGE_SHAPE, name="images")
    pixels = keras.layers.Rescaling(1 / 255)(images)
    return images, backbones.build_convolution_stem(IMAGE_SHAPE)(pixels)


def build_detr(
    num_queries=10,
    num_decoder_layers=2,
    feed_forward=True,
    spatial_encodings=True,
):
    """Carion et al. 2020, figures 2 and 10, for scenes of digits."""
    images, feature_map = build_features()
    x = keras.layers.Conv2D(96, 1)(feature_map)  # (B, 8, 8, 96)
    positions = None
    if spatial_encodings:
        positions = layers.SinePositionEncoding2D()(x)  # (B, 64, 96)
    tokens = keras.layers.Reshape((64, 96))(x)
    block = layers.TransformerEncoderBlock(*PARTS)
    encoder = layers.TransformerEncoder(block, num_layers=1)
    memory = encoder(tokens, positions=positions)
    queries = layers.ObjectQueries(num_queries)(memory)  # (B, Q, 96)
    decoder = layers.TransformerDecoder(
        layers.TransformerDecoderBlock(*PARTS),
        num_decoder_layers,
        return_every_layer=True,
    )
    answers = decoder(
        keras.ops.zeros_like(queries),
        memory,
        query_positions=queries,
        memory_positions=positions,
    )  # (B, L, Q, 96)
    for block in () if feed_forward else encoder.blocks + decoder.blocks:
        silence(block.feed_forward_block.branch)
    hidden = keras.layers.Dense(96, "relu")(answers)
    hidden = keras.layers.Dense(96, "relu")(hidden)
    logits = keras.layers.Dense(11)(answers)  # ten digits, "no object"
    boxes = keras.layers.Dense(4, "sigmoid")(hidden)
    outputs = {
        "logits": logits[:, -1],
        "boxes": boxes[:, -1],
        "auxiliary_logits": logits[:, :-1],
        "auxiliary_boxes": boxes[:, :-1],
    }
    return models.DetectionModel(images, outputs)


def silence(feed_forward):
    """Makes a pre-norm block hand on its input: `x + 0`."""
    for weight in feed_forward.output_projection.weights:
        weight.assign(keras.ops.zeros_like(weight))
    feed_forward.trainable = False


def train(model, loss, seed, steps):
    """The schedule of benchmarks/convergence.py, in fewer steps."""
    warmup_steps = min(100, steps // 2)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps - warmup_steps,
        warmup_target=1.5e-3,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=1e-4, beta_2=0.98, global_clipnorm=1.0
    )
    model.compile(optimizer, loss)
    scenes = data.digit_scenes("train", batch_size=16, seed=seed)
    model.fit(scenes, steps_per_epoch=steps, shuffle=False, verbose=0)


def hungarian_loss(label_weight=2.0, **weights):
    return losses.HungarianLoss(losses.detr_terms(label_weight, **weights))


def average_precision(model, decode):
    """COCO's, on scenes of held-out digits; `decode` makes detections."""
    precision = metrics.CocoAveragePrecision(IMAGE_SHAPE)
    for images, y_true in data.digit_scenes(
        "held_out", batch_size=100, num_scenes=NUM_HELD_OUT
    ):
        precision.update_state(y_true, decode(model.predict_on_batch(images)))
    return precision.result()


if __name__ == "__main__":
    from keras_vtr.detections import decode_detections

    detr = build_detr()
    train(detr, hungarian_loss(), seed=0, steps=20)
    found = average_precision(
        detr, lambda outputs: decode_detections(outputs, IMAGE_SHAPE)
    )
    print(f"AP {found['AP']:.3f}")
