"""Convolutions with a frozen norm, or with standardized filters."""
