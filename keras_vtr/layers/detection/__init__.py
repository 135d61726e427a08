"""Object queries, decoders of boxes, and mask heads."""
