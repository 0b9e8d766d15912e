"""A frozen ONNX network in front: its parts checked, converted, run."""
