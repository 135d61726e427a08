"""A block is a layer of the network; a stack is so many copies of a block."""

import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import build_part
from keras_vtr.layers.parts import copy_of
from keras_vtr.layers.parts import default_norm
from keras_vtr.layers.parts import deserialized
from keras_vtr.layers.parts import serialized
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.rematerialization import rematerialized
from keras_vtr.layers.transformer.residual import Residual

PARTS = ("attention", "feed_forward", "norm")


class Block(keras.layers.Layer):
    """Attention and feed-forward, and what surrounds each of them alike."""

    def __init__(
        self,
        attention,
        feed_forward,
        *,
        norm=None,
        normalize_first=True,
        dropout=0.0,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        set_part(self, "attention", attention)
        set_part(self, "feed_forward", feed_forward)
        set_part(self, "norm", default_norm() if norm is None else norm)
        check_fraction("dropout", dropout)
        if layer_scale is not None:
            check_positive("layer_scale", layer_scale)
        check_fraction("stochastic_depth", stochastic_depth)
        self.normalize_first = normalize_first
        self.dropout = dropout
        self.layer_scale = layer_scale
        self.stochastic_depth = stochastic_depth

    def get_config(self):
        return {
            **super().get_config(),
            **serialized(self, *PARTS),
            **self._surroundings(),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config, *PARTS))

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """What `keras.RematScope` makes of `call`, if it lists this layer."""
        mode = self._remat_mode
        if mode.mode == "list_of_layers" and self.name in mode.layer_names:
            return rematerialized(self, layer_call)
        return layer_call

    def _surroundings(self):
        return {
            "normalize_first": self.normalize_first,
            "dropout": self.dropout,
            "layer_scale": self.layer_scale,
            "stochastic_depth": self.stochastic_depth,
        }

    def _surround(self, part, name, *shapes):
        block = Residual(
            part,
            norm=self.norm,
            **self._surroundings(),
            name=name,
            dtype=self.dtype_policy,
        )
        block.build(*shapes)
        return block


class Stack(keras.layers.Layer):
    """So many copies of a block, and a norm after the last one."""

    def __init__(self, block, num_layers, *, norm=None, **kwargs):
        super().__init__(**kwargs)
        set_part(self, "block", block)
        check_positive_int("num_layers", num_layers)
        self.num_layers = num_layers
        if norm is None and getattr(block, "normalize_first", False):
            norm = block.norm
        set_part(self, "norm", norm, may_lack=True)

    def get_config(self):
        return {
            **super().get_config(),
            **serialized(self, "block", "norm"),
            "num_layers": self.num_layers,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config, "block", "norm"))

    def _build_stack(self, *shapes):
        self.blocks = []
        for i in range(self.num_layers):
            change = {}
            if hasattr(self.block, "stochastic_depth"):
                rate = self.block.stochastic_depth * (i + 1) / self.num_layers
                change["stochastic_depth"] = rate
            block = copy_of(self.block, f"block_{i}", self, **change)
            build_part(block, *shapes)
            self.blocks.append(block)
        self.output_norm = None
        if self.norm is not None:
            self.output_norm = copy_of(self.norm, "norm", self)
            build_part(self.output_norm, shapes[0])

    def _normalize(self, tokens):
        return tokens if self.output_norm is None else self.output_norm(tokens)

    def _answers(self, block, tokens, *inputs, **options):
        """A block's tokens, and its scores if the options ask for them."""
        outputs = block(tokens, *inputs, **options)
        scores = None
        if options.get("return_attention_scores"):
            outputs, scores = outputs
        before, after = tuple(tokens.shape), tuple(outputs.shape)
        if len(before) != len(after) or any(
            None not in sides and sides[0] != sides[1]
            for sides in zip(before, after, strict=True)
        ):
            raise ValueError(
                "`block` must return tokens of the shape that it takes, since "
                f"the next copy takes them. Received: {before} to {after} by "
                f"{type(block).__name__}"
            )
        return outputs, scores


def given(**options):
    """Those that say something; a layer of a user's own need not know all."""
    return {
        name: x
        for name, x in options.items()
        if x is not None and x is not False
    }
