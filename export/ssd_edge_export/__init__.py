"""Prune a trained run, calibrate it and write it as one standard ONNX file."""
