"""Models whose files look like a ViT's; they are refused by name.

Most of them tell by `model_type` in config.json who they are
(`transformers_keys.LOOKALIKES`), these by their tensors, too.
"""

import re

from keras_vtr.pretrained.tensor_file import PretrainedError
from keras_vtr.pretrained.transformers_keys import LOOKALIKES

# Names of transformers, and of the authors and timm.
MARKS = {
    r"\.lambda_1$": "beit",
    r"^blocks\.0\.attn\.relative_position_bias_table$": "beit",
    r"(^|\.)decoder_pos_embed$": "vit_mae",
}


def recognize(shapes):
    return _model_type(shapes) is not None


def read(shapes, config, position_grid=None):
    raise PretrainedError(LOOKALIKES[_model_type(shapes)])


def _model_type(shapes):
    for name, shape in shapes.items():
        if name.endswith("embeddings.patch_embedding.weight"):
            return "siglip2" if len(shape) == 2 else None
        for pattern, model_type in MARKS.items():
            if re.search(pattern, name):
                return model_type
    return None
