"""EoMT: queries in the last blocks of a ViT segment images."""
