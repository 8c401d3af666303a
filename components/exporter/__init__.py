"""Exporter: writes a SavedModel for TensorFlow Serving."""
