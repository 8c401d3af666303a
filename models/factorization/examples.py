"""What the conformance suite runs of this package."""

import numpy as np

from ..layer_example import LayerExample
from .parts.non_negative_factorization import NonNegativeFactorization
from .ratings.rating_factorization import RatingFactorization


def _positive(*shape):
    def inputs(batch):
        return np.random.default_rng(7).gamma(2.0, 1.0, (batch, *shape)).astype("float32")

    return inputs


def _factorization(name, shape, skip=None, **options):
    return LayerExample(
        f"NonNegativeFactorization-{name}",
        lambda: NonNegativeFactorization(3, **options),
        _positive(*shape),
        skip=skip or {},
    )


def _pairs(batch):
    generator = np.random.default_rng(7)
    # Index 6 is an unknown user, 8 an unknown item.
    return {
        "user": generator.integers(0, 7, batch).astype("int32"),
        "item": generator.integers(0, 9, batch).astype("int32"),
    }


def _ratings(name, **options):
    return LayerExample(
        f"RatingFactorization-{name}",
        lambda: RatingFactorization(6, 8, seed=1, **options),
        _pairs,
        targets=lambda batch: np.arange(batch, dtype="float32") % 5 + 1,
        integer_inputs=True,
        skip={"fit": "Closed-form updates move non-trainable weights; test_rating_factorization."},
    )


def layer_examples():
    """Returns the examples, one an option that changes the computation."""
    no_gradient = {"fit": "It moves its components in the call; test_non_negative_factorization."}
    return [
        _ratings("one", rank=3, members=1),
        _ratings("members", rank=2, members=3, sweeps_per_step=2, rating_range=(0.0, 10.0)),
        _factorization("euclidean", (5,)),
        _factorization("sequence", (2, 5), components_regularizer="l2"),
        _factorization("divergence", (5,), loss="divergence", components_initializer="normal"),
        _factorization("reconstruction", (5,), returns="reconstruction", loss_weight=0.5),
        _factorization("multiplicative", (5,), update="multiplicative", skip=no_gradient),
        _factorization(
            "multiplicative-divergence",
            (2, 5),
            update="multiplicative",
            loss="divergence",
            loss_weight=1.0,
            skip=no_gradient,
        ),
        _factorization(
            "missing",
            (5,),
            nan_as_missing=True,
            skip={"nan": "NaN stands for an entry that is missing: such an example has a code."},
        ),
    ]
