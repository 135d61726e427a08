"""Convolutions whose norm is frozen or whose filters are normalized."""
