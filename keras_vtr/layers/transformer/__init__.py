"""Residual branches, blocks of them, and stacks of blocks."""
