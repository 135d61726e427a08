"""A block is one layer of the network; a stack is several copies of it."""

import keras

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.rematerialization import rematerialized
from keras_vtr.layers.transformer.residual import Residual
from keras_vtr.layers.transformer.residual import ResidualOptions


class Block(ResidualOptions):
    """Attention and feed-forward, each in a `Residual` of the same options."""

    PARTS = ("attention", "feed_forward", "norm")

    def __init__(self, attention, feed_forward, **kwargs):
        super().__init__(**kwargs)
        set_part(self, "attention", attention)
        set_part(self, "feed_forward", feed_forward)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """The call to use, if this layer may be in a `keras.RematScope`."""
        # Keras 3.15.1 has no public way to the scope that a layer was made in.
        mode = self._remat_mode
        if mode.mode == "list_of_layers" and self.name in mode.layer_names:
            return rematerialized(self, layer_call)
        return layer_call

    def _build_residual(self, name, part, *shapes):
        config = {"layer": part, "norm": self.norm, **self._options()}
        return build_sublayer(self, name, Residual, *shapes, **config)

    def _feed_forward(self, attended, training):
        """Feed-forward on tokens, or on the first of tokens and scores."""
        if not isinstance(attended, tuple):
            return self.feed_forward_block(attended, training=training)
        tokens, scores = attended
        return self.feed_forward_block(tokens, training=training), scores


class Stack(LayerWithParts):
    """Copies of a block, one after the other, and a norm after the last."""

    PARTS = ("block", "norm")

    def __init__(self, block, num_layers, *, norm=None, **kwargs):
        super().__init__(**kwargs)
        set_part(self, "block", block)
        check_positive_int("num_layers", num_layers)
        self.num_layers = num_layers
        if norm is None and getattr(block, "normalize_first", False):
            norm = block.norm
        set_part(self, "norm", norm, optional=True)

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}

    def _build_stack(self, *shapes, num_blocks=None):
        """All blocks and the norm, or the first blocks and the norm."""
        self.blocks = []
        for i in range(num_blocks or self.num_layers):
            change = {}
            if hasattr(self.block, "stochastic_depth"):
                rate = self.block.stochastic_depth * (i + 1) / self.num_layers
                change["stochastic_depth"] = rate
            self.blocks.append(
                build_sublayer(
                    self, f"block_{i}", self.block, *shapes, **change
                )
            )
        self.output_norm = None
        if self.norm is not None:
            self.output_norm = build_sublayer(
                self, "norm", self.norm, shapes[0]
            )

    def _call_stack(self, tokens, *inputs, return_every_layer=False, **options):
        """Calls all blocks and the norm.

        Returns:
            Tokens (B, N, D), or with `return_every_layer` (B, L, N, D); and
            with `return_attention_scores` among the options a pair of tokens
            and scores (B, L, H, N, S).
        """
        options = given(**options)
        every_output, every_score = [], []
        for block in self.blocks:
            tokens, scores = self._call_block(block, tokens, *inputs, **options)
            every_output.append(tokens)
            every_score.append(scores)
        if return_every_layer:
            tokens = keras.ops.stack(every_output, axis=1)
        tokens = self._normalize(tokens)
        if "return_attention_scores" in options:
            return tokens, keras.ops.stack(every_score, axis=1)
        return tokens

    def _call_block(self, block, tokens, *inputs, **options):
        """A block's tokens, and its scores or None."""
        outputs = block(tokens, *inputs, **options)
        scores = None
        if "return_attention_scores" in options:
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

    def _normalize(self, tokens):
        return tokens if self.output_norm is None else self.output_norm(tokens)


def given(**options):
    """The options that are set, so that a user's own layer needs no others."""
    return {
        name: x
        for name, x in options.items()
        if x is not None and x is not False
    }
