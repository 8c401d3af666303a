"""What the conformance suite runs of this package: `BatchNormalization`, option by option."""

import keras
import numpy as np

from ..layer_example import LayerExample
from .batch_normalization import BatchNormalization


def _normal(*shape):
    def inputs(batch):
        generator = np.random.default_rng(7)
        return generator.normal(1.0, 2.0, (batch, *shape)).astype("float32")

    return inputs


def _example(name, shape, **options):
    return LayerExample(name, lambda: BatchNormalization(**options), _normal(*shape))


def layer_examples():
    """Returns the examples, one an option that changes the computation."""
    warm_up = keras.optimizers.schedules.PolynomialDecay(1.0, 100, 3.0)
    return [
        _example("BatchNormalization", (5,)),
        _example("BatchNormalization-maps", (3, 2, 5)),
        _example("BatchNormalization-channels-first", (5, 4, 3), axis=1),
        _example("BatchNormalization-cumulative", (3, 5), momentum=None, scale=False),
        _example("BatchNormalization-renorm", (5,), renorm=True, renorm_max_scale=warm_up),
        _example("BatchNormalization-ghost", (3, 5), ghost_batch_size=2, center=False),
        _example("BatchNormalization-ghost-first", (5, 3), ghost_batch_size=2, axis=1),
        _example(
            "BatchNormalization-regularized",
            (5,),
            gamma_regularizer="l2",
            beta_constraint="max_norm",
            gamma_initializer=keras.initializers.Constant(0.5),
        ),
    ]
