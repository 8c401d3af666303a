"""Tiny instances of `BatchNormalization` and of the networks, for the conformance suite."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..layer_example import LayerExample
from .batch_normalization import BatchNormalization
from .inception_network import inception_network
from .sigmoid_network import sigmoid_network

CLASSES = 3
NO_CLASS = "A network is a functional Keras model, not a class of this package."


def layer_examples() -> list[LayerExample]:
    """Returns one example per option that changes the computation, and one per network."""
    warm_up = keras.optimizers.schedules.PolynomialDecay(1.0, 100, 3.0)
    return [
        _layer("BatchNormalization", (5,)),
        _layer("BatchNormalization-maps", (3, 2, 5)),
        _layer("BatchNormalization-channels-first", (5, 4, 3), axis=1),
        _layer("BatchNormalization-cumulative", (3, 5), momentum=None, scale=False),
        _layer("BatchNormalization-renorm", (5,), renorm=True, renorm_max_scale=warm_up),
        _layer("BatchNormalization-ghost", (3, 5), ghost_batch_size=2, center=False),
        _layer("BatchNormalization-ghost-first", (5, 3), ghost_batch_size=2, axis=1),
        _layer(
            "BatchNormalization-regularized",
            (5,),
            gamma_regularizer="l2",
            beta_constraint="max_norm",
            gamma_initializer=keras.initializers.Constant(0.5),
        ),
        _network(
            "sigmoid_network", lambda: sigmoid_network((4, 4, 1), CLASSES, units=5), (4, 4, 1)
        ),
        _network(
            "inception_network",
            lambda: inception_network((8, 8, 3), CLASSES, width=0.1, local_response_norm=True),
            (8, 8, 3),
            empty_batch="TensorFlow's convolution of an empty batch has the wrong channels.",
        ),
    ]


def _layer(name: str, shape: tuple[int, ...], **options: Any) -> LayerExample:
    def inputs(batch: int) -> np.ndarray:
        generator = np.random.default_rng(7)
        return generator.normal(1.0, 2.0, (batch, *shape)).astype("float32")

    return LayerExample(name, lambda: BatchNormalization(**options), inputs)


def _network(
    name: str, build: Callable[[], keras.Model], shape: tuple[int, ...], **skip: str
) -> LayerExample:
    return LayerExample(
        name,
        build,
        lambda batch: np.random.default_rng(7).random((batch, *shape)).astype("float32"),
        targets=lambda batch: np.arange(batch) % CLASSES,
        loss=keras.losses.SparseCategoricalCrossentropy(),
        skip={"config": NO_CLASS, **skip},
    )
