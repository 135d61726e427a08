"""Annotations in the formats that data sets come in."""
