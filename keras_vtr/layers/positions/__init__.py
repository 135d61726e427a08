"""Positions of tokens: embeddings, encodings, biases and rules."""
