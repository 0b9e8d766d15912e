"""A measurement, or a model, for a person: terminal, page, charts."""
