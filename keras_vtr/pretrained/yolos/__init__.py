"""YOLOS's weights, in transformers' names."""
