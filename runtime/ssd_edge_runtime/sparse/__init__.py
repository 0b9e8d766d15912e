"""Compressed rows and Top-K on plain arrays."""
