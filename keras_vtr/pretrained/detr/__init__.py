"""Weights of DETRs."""
