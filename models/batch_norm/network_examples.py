"""What the conformance suite runs of this package's networks."""

import keras
import numpy as np

from ..layer_example import LayerExample
from ..layers.local_response_normalization import LocalResponseNormalization
from .inception_network import inception_network
from .sigmoid_network import sigmoid_network

CLASSES = 3


def _images(*shape):
    return lambda batch: np.random.default_rng(7).random((batch, *shape)).astype("float32")


def _labels(batch):
    return np.arange(batch) % CLASSES


def layer_examples():
    """Returns a `LayerExample` of each network and of what only its baseline uses."""
    functional = {"config": "A network is Keras's own functional model, not a class of ours."}
    return [
        LayerExample(
            "local_response_normalization",
            LocalResponseNormalization,
            _images(4, 4, 6),
            skip={"fit": "It has no weights.", "save": "It has no weights."},
        ),
        LayerExample(
            "sigmoid_network",
            lambda: sigmoid_network((4, 4, 1), CLASSES, units=5),
            _images(4, 4, 1),
            targets=_labels,
            loss=keras.losses.SparseCategoricalCrossentropy(),
            skip=functional,
        ),
        LayerExample(
            "inception_network",
            lambda: inception_network((8, 8, 3), CLASSES, width=0.1, local_response_norm=True),
            _images(8, 8, 3),
            targets=_labels,
            loss=keras.losses.SparseCategoricalCrossentropy(),
            skip={
                **functional,
                "empty_batch": "TensorFlow's convolution of an empty batch has the wrong channels.",
            },
        ),
    ]
