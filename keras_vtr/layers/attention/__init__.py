"""Attention among all tokens, and within a pixel's neighborhood."""
