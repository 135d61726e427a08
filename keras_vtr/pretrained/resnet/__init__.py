"""Weights of ResNets."""
