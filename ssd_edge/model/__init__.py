"""The Top-K network in torch."""
