"""The learned metrics and harmonic embeddings."""

import keras
import numpy as np

from ...layer_example import LayerExample
from ..large_margin.large_margin_loss import LargeMarginLoss
from ..large_margin.large_margin_metric import LargeMarginMetric
from ..large_margin.principal_projection import PrincipalProjection
from ..triplets.harmonic_embedding import HarmonicModel
from ..triplets.triplet_loss import TripletLoss

FEATURES, SIZE = 5, 3


def layer_examples() -> list[LayerExample]:
    """Returns one example per option that changes the computation."""
    ranked = keras.initializers.GlorotUniform(seed=1)
    return [
        LayerExample("LargeMarginMetric", LargeMarginMetric, _vectors),
        LayerExample(
            "LargeMarginMetric-low-rank",
            lambda: LargeMarginMetric(SIZE, initializer=ranked),
            _vectors,
        ),
        LayerExample(
            "PrincipalProjection",
            lambda: PrincipalProjection(SIZE, whiten=True),
            _images,
            skip={"fit": "its weights are set by `adapt`"},
        ),
        LayerExample("LargeMarginLoss", LargeMarginLoss, _labelled, skip=_WHOLE_BATCH),
        LayerExample(
            "LargeMarginLoss-options",
            lambda: LargeMarginLoss(neighbors=1, push=0.8, reduction="sum"),
            _labelled,
            skip=_WHOLE_BATCH,
        ),
        _harmonic("HarmonicModel"),
        _harmonic("HarmonicModel-weighted", harmonic_weight=0.5),
    ]


_WHOLE_BATCH = {
    "batch_independence": "neighbors and impostors are examples of the same batch",
    "nan": "the loss of an example depends on the rest of the batch",
}


def _harmonic(name, **options):
    return LayerExample(
        name,
        lambda: HarmonicModel(_network(1), _network(2), **options),
        _vectors,
        targets=lambda batch: np.arange(batch, dtype="int32") // 2,
        loss=TripletLoss(margin=1.0, selection="hard"),
    )


def _network(seed):
    return keras.Sequential(
        [
            keras.layers.Dense(SIZE, kernel_initializer=keras.initializers.GlorotUniform(seed)),
            keras.layers.UnitNormalization(),
        ]
    )


def _vectors(batch):
    return np.random.default_rng(0).normal(size=(batch, FEATURES)).astype("float32")


def _images(batch):
    return np.random.default_rng(1).random((batch, 4, 3, 1), np.float32)


def _labelled(batch):
    vectors = np.random.default_rng(2).normal(size=(batch, SIZE)).astype("float32")
    return np.arange(batch, dtype="int32") // 2, vectors
