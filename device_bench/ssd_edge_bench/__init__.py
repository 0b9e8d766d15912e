"""Measure an SSD-Edge model on this device."""
