"""Landmark machine-learning methods as Keras 3 layers, each with a production pipeline."""

__version__ = "0.2.0"
