"""Layers that several methods share."""

from .local_response_normalization import LocalResponseNormalization

__all__ = ["LocalResponseNormalization"]
