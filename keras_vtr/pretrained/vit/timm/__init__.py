"""ViTs as timm names them."""
