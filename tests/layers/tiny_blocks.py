"""Blocks and stacks for tokens of width 12."""

import keras

from keras_vtr import layers


def parts(num_heads=3, mlp_dim=13, epsilon=1e-3, **change):
    return {
        "attention": layers.MultiHeadAttention(
            num_heads, attention_dropout=0.2
        ),
        "feed_forward": layers.FeedForward(
            mlp_dim, activation="relu", dropout=0.1
        ),
        "norm": keras.layers.LayerNormalization(epsilon=epsilon),
        "dropout": 0.1,
        **change,
    }


def encoder(num_layers=2, norm=None, **change):
    block = layers.TransformerEncoderBlock(**parts(**change))
    return layers.TransformerEncoder(block, num_layers, norm=norm)


def decoder(num_layers=2, norm=None, return_every_layer=False, **change):
    block = layers.TransformerDecoderBlock(**parts(**change))
    return layers.TransformerDecoder(
        block, num_layers, norm=norm, return_every_layer=return_every_layer
    )


def anchor_decoder(num_layers=3, num_heads=2, **options):
    block = layers.TransformerDecoderBlock(
        **parts(num_heads=num_heads, mlp_dim=12)
    )
    return layers.AnchorDecoder(block, num_layers, **options)
