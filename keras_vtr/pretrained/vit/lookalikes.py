"""Models whose files look like a ViT's; they are refused by name.

Most of them tell by `model_type` in config.json who they are
(`transformers_keys.LOOKALIKES`), these by their tensors, too.
"""

from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import LOOKALIKES

# Ends of names of transformers, and of the authors and timm.
MARKS = {
    ".lambda_1": "beit",
    ".attn.relative_position_bias_table": "beit",
    "decoder_pos_embed": "vit_mae",
}


def recognize(shapes):
    return _model_type(shapes) is not None


def read(shapes, config, position_grid=None):
    raise PretrainedError(LOOKALIKES[_model_type(shapes)])


def _model_type(shapes):
    for name, shape in shapes.items():
        if name.endswith("embeddings.patch_embedding.weight"):
            return "siglip2" if len(shape) == 2 else None
        for end, model_type in MARKS.items():
            # Swin's blocks lie within layers.
            if name.endswith(end) and not name.startswith("layers."):
                return model_type
    return None
