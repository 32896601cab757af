"""Kokoro-82M on onnxruntime."""
