"""Pictures of what a model sees and says."""

from keras_vtr.visualization.attention import attention_maps
from keras_vtr.visualization.attention import attention_rollout
from keras_vtr.visualization.attention import draw_attention
from keras_vtr.visualization.boxes import draw_boxes
from keras_vtr.visualization.boxes import draw_comparison
from keras_vtr.visualization.boxes import draw_grid
from keras_vtr.visualization.detections import draw_detections
from keras_vtr.visualization.detr_attention import draw_query_attention
from keras_vtr.visualization.detr_attention import pixel_attention
from keras_vtr.visualization.detr_attention import query_attention
from keras_vtr.visualization.masks import draw_masks
from keras_vtr.visualization.masks import draw_segments

__all__ = [
    "draw_boxes",
    "draw_detections",
    "draw_comparison",
    "draw_masks",
    "draw_segments",
    "draw_grid",
    "attention_maps",
    "attention_rollout",
    "draw_attention",
    "pixel_attention",
    "query_attention",
    "draw_query_attention",
]
