"""From pixels to tokens, and from tokens to the features for a head."""
