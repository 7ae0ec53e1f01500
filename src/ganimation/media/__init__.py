"""Pixels in and out. Knows nothing about faces."""
