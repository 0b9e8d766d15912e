"""Work and bounds: what a step must move and compute, and what boards could do."""
