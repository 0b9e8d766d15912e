"""Data sets, splits into tasks and device-ready arrays."""
