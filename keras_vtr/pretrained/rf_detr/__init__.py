"""Weights of RF-DETR."""
