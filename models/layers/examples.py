"""Tiny instances of the shared layers, for the conformance suite."""

import numpy as np

from ..layer_example import LayerExample
from .local_response_normalization import LocalResponseNormalization


def layer_examples() -> list[LayerExample]:
    """Returns one example per layer."""
    return [
        LayerExample(
            "local_response_normalization",
            LocalResponseNormalization,
            lambda batch: np.random.default_rng(7).random((batch, 4, 4, 6)).astype("float32"),
            skip={"fit": "It has no weights.", "save": "It has no weights."},
        )
    ]
