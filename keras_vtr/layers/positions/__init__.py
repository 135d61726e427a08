"""Where tokens are: embeddings, encodings, biases and rules."""
