"""The baselines of parts and the model around a coder, as the conformance suite feeds them."""

import numpy as np

from ..layer_example import LayerExample
from .parts.non_negative_factorization import NonNegativeFactorization
from .parts.parts_model import PartsModel
from .parts.principal_components import PrincipalComponents
from .parts.vector_quantization import VectorQuantization

_NOT_TRAINED = {"fit": "its weights are set by `adapt`"}
FEATURES, RANK, SIDE = 12, 3, 4


def layer_examples() -> list[LayerExample]:
    """Returns the baselines' layers, and the model around the factorization."""
    return [
        LayerExample(
            "PrincipalComponents", lambda: PrincipalComponents(RANK), _vectors, skip=_NOT_TRAINED
        ),
        LayerExample(
            "VectorQuantization", lambda: VectorQuantization(RANK), _vectors, skip=_NOT_TRAINED
        ),
        LayerExample(
            "PartsModel",
            lambda: PartsModel(
                NonNegativeFactorization(RANK, update="multiplicative", iterations=5)
            ),
            _images,
            skip={"fit": "its weights move without gradients: test_factorization_parts trains it"},
        ),
    ]


def _vectors(batch):
    return np.random.default_rng(0).random((batch, FEATURES), np.float32)


def _images(batch):
    return np.random.default_rng(1).random((batch, SIDE, SIDE, 1), np.float32)
