"""The embedding layer and the triplet losses."""

import numpy as np

from ...layer_example import LayerExample
from ..networks.unit_embedding import UnitEmbedding
from ..triplets.triplet_loss import TripletLoss

WHOLE_BATCH = "A triplet consists of several examples of the batch."


def _points(batch):
    generator = np.random.default_rng(7)
    return generator.normal(0.0, 1.0, (batch, 5)).astype("float32")


def _labels_and_points(batch):
    return np.array([10**9, 10**9, 3, 3], "int32")[:batch], _points(batch)


def _loss(name, **options):
    return LayerExample(
        name,
        lambda: TripletLoss(**options),
        _labels_and_points,
        skip={"batch_independence": WHOLE_BATCH, "nan": WHOLE_BATCH},
    )


def layer_examples() -> list[LayerExample]:
    """Returns one example per option that changes the computation."""
    return [
        LayerExample("UnitEmbedding", lambda: UnitEmbedding(3), _points),
        LayerExample(
            "UnitEmbedding-regularized",
            lambda: UnitEmbedding(3, use_bias=False, kernel_regularizer="l2"),
            _points,
        ),
        _loss("TripletLoss"),
        _loss("TripletLoss-all", selection="all", margin=1.0),
        _loss("TripletLoss-all-semi-hard", selection="all_semi_hard", margin=4.0, average="all"),
        _loss("TripletLoss-hard", selection="hard", average="all"),
        _loss("TripletLoss-soft", selection="batch_hard", margin="soft"),
    ]
