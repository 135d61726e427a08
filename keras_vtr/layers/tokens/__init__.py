"""From pixels to tokens, and from tokens to what a head reads."""
