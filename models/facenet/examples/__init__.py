"""Tiny instances of FaceNet's layers, losses, models and networks, for the conformance suite."""

from ...layer_example import LayerExample
from . import metrics, networks, triplets


def layer_examples() -> list[LayerExample]:
    """Returns the examples of all rooms."""
    return [
        *triplets.layer_examples(),
        *metrics.layer_examples(),
        *networks.layer_examples(),
    ]
