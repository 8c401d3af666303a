"""Tiny instances of the factorizations and of their baselines, for the conformance suite."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layer_example import LayerExample
from .parts.non_negative_factorization import NonNegativeFactorization
from .parts.parts_model import PartsModel
from .parts.principal_components import PrincipalComponents
from .parts.vector_quantization import VectorQuantization
from .ratings.rating_factorization import RatingFactorization


def _positive(*shape: int) -> Callable[[int], np.ndarray]:
    def inputs(batch: int) -> np.ndarray:
        return np.random.default_rng(7).gamma(2.0, 1.0, (batch, *shape)).astype("float32")

    return inputs


def _factorization(
    name: str, shape: tuple[int, ...], skip: dict[str, str] | None = None, **options: Any
) -> LayerExample:
    return LayerExample(
        f"NonNegativeFactorization-{name}",
        lambda: NonNegativeFactorization(3, **options),
        _positive(*shape),
        skip=skip or {},
    )


def _pairs(batch: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    # Index 6 is an unknown user, 8 an unknown item.
    return {
        "user": generator.integers(0, 7, batch).astype("int32"),
        "item": generator.integers(0, 9, batch).astype("int32"),
    }


def _ratings(name: str, **options: Any) -> LayerExample:
    return LayerExample(
        f"RatingFactorization-{name}",
        lambda: RatingFactorization(6, 8, seed=1, **options),
        _pairs,
        targets=lambda batch: np.arange(batch, dtype="float32") % 5 + 1,
        integer_inputs=True,
        skip={"fit": "Closed-form updates move its weights; see test_rating_factorization."},
    )


def _images(batch: int) -> np.ndarray:
    return np.random.default_rng(1).random((batch, 4, 4, 1), np.float32)


def layer_examples() -> list[LayerExample]:
    """Returns one example per option that changes the computation, and one per baseline."""
    adapted = {"fit": "Its weights are set by `adapt`."}
    no_gradient = {"fit": "The call moves its components; see test_non_negative_factorization."}
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
            skip={"nan": "NaN marks a missing entry; such an example has a code."},
        ),
        LayerExample(
            "PrincipalComponents", lambda: PrincipalComponents(3), _positive(12), skip=adapted
        ),
        LayerExample(
            "VectorQuantization", lambda: VectorQuantization(3), _positive(12), skip=adapted
        ),
        LayerExample(
            "PartsModel",
            lambda: PartsModel(NonNegativeFactorization(3, update="multiplicative", iterations=5)),
            _images,
            skip={"fit": "Its weights move without gradients; see test_parts."},
        ),
    ]
