"""DETR: images to sets of boxes."""
