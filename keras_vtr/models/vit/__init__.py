"""ViT: images to classes."""
