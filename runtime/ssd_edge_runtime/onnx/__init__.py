"""ONNX as bytes, knowing nothing of this project: protobuf, tensors, messages, a session."""
