"""EoMT's weights, in transformers' names."""
