"""Picture files: decoding, and replacing broken ones."""
