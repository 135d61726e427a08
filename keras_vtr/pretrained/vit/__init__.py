"""Weights of ViTs."""
