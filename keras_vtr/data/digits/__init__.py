"""Scenes of handwritten digits: detection data without a download."""
