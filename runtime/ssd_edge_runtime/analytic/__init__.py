"""The closed form: statistics, Gram triangle, solver, merge, lessons."""
