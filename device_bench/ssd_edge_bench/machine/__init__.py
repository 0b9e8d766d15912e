"""This machine: facts, versions, energy counters."""
