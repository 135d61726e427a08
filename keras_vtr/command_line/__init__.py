"""`keras-vtr`: a thin face on the public functions."""
