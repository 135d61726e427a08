"""YOLOS: a ViT's tokens to sets of boxes."""
