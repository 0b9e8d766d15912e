"""The Top-K network on a ModelState: forward pass, counts, engines, a copy that may be written into."""
