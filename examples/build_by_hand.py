"""Builds a tiny ViT and a tiny DETR from loose layers.

    python examples/build_by_hand.py

Takes about 20 seconds, most of it for importing TensorFlow. Expect the output
shapes of both models: ViT (2, 10); DETR (2, 10, 11) and (2, 10, 4).
"""

import keras

from keras_vtr import layers
from keras_vtr import models


def build_vit():
    """Image -> patches -> tokens -> encoder -> class (Dosovitskiy 2020)."""
    images = keras.Input((64, 64, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.PatchEmbedding(hidden_dim=96, patch_size=8)(x)  # (B, 64, 96)
    x = layers.ClassToken()(x)  # (B, 65, 96)
    x = layers.PositionEmbedding()(x)
    block = layers.TransformerEncoderBlock(
        layers.MultiHeadAttention(num_heads=4), layers.FeedForward(mlp_dim=192)
    )
    x = layers.TransformerEncoder(block, num_layers=4)(x)  # four copies
    class_token = x[:, 0]  # (B, 96)
    logits = keras.layers.Dense(10)(class_token)
    return keras.Model(images, logits, name="tiny_vit")


def build_detr():
    """Image -> feature map -> encoder -> queries -> decoder (Carion 2020)."""
    images = keras.Input((64, 64, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    for filters in (32, 64, 96):  # any backbone will do
        x = keras.layers.Conv2D(filters, 3, 2, "same", activation="relu")(x)

    # Every pixel of the 8 x 8 feature map is a token; its position is added
    # to queries and keys of each attention, never to values.
    positions = layers.SinePositionEncoding2D()(x)  # (B, 64, 96)
    tokens = keras.layers.Reshape((64, 96))(x)
    parts = layers.MultiHeadAttention(num_heads=4), layers.FeedForward(192)
    block = layers.TransformerEncoderBlock(*parts)
    encoder = layers.TransformerEncoder(block, num_layers=2)
    memory = encoder(tokens, positions=positions)

    # Ten object slots, decoded at once.
    queries = layers.ObjectQueries(10)(memory)  # (B, 10, 96)
    block = layers.TransformerDecoderBlock(*parts)
    decoder = layers.TransformerDecoder(block, num_layers=3)
    answers = decoder(
        keras.ops.zeros_like(queries),
        memory,
        query_positions=queries,
        memory_positions=positions,
    )
    hidden = keras.layers.Dense(96, "relu")(answers)
    outputs = {
        "logits": keras.layers.Dense(11)(answers),  # 10 classes, "no object"
        "boxes": keras.layers.Dense(4, "sigmoid")(hidden),
    }
    return models.DetectionModel(images, outputs, name="tiny_detr")


def main():
    images = keras.random.uniform((2, 64, 64, 3), maxval=255)
    vit = build_vit()
    print(f"{vit.name}, {vit.count_params():,} parameters:")
    print("  logits", tuple(vit(images).shape))
    detr = build_detr()
    print(f"{detr.name}, {detr.count_params():,} parameters:")
    for key, value in detr(images).items():
        print(f"  {key}", tuple(value.shape))


if __name__ == "__main__":
    main()
