"""From a network and its samples to a ModelState."""
