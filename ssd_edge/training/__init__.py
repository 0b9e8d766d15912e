"""Trainer, run folders, metrics and plots."""
