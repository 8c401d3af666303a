"""What can be set of the factorization of ratings and its training."""

from __future__ import annotations

import pydantic

from .....components.base.parameters import HOW, Parameters
from .....components.data.ratings.options import EvaluatorOptions


class TrainerOptions(Parameters):
    """The factorization and how it is fitted."""

    rank: int = pydantic.Field(20, ge=1, description="non-negative factors of a member")
    members: int = pydantic.Field(
        8, ge=1, description="factorizations from other starts, whose predictions are averaged"
    )
    factor_penalty: float = pydantic.Field(
        0.15, ge=0, description="of the squared factors, in units of the range of ratings"
    )
    penalty_exponent: float = pydantic.Field(
        0.5, ge=0, description="power of a user's or item's number of ratings in its penalty"
    )
    bias_penalty: float = pydantic.Field(3.0, ge=0, description="of the squared biases, in ratings")
    epochs: int = pydantic.Field(5, ge=1, description="records of the training")
    sweeps_per_epoch: int = pydantic.Field(
        2, ge=1, description="sweeps of closed-form updates over all users and items, per record"
    )
    popularity_weight: float = pydantic.Field(
        1.0,
        ge=0,
        description="what the logarithm of an item's number of ratings adds, in stars, where items "
        "are ordered; 0 orders by predicted rating alone",
    )
    workers: int = pydantic.Field(
        1, ge=1, description="models trained side by side", json_schema_extra=HOW
    )


class EvaluatedSplit(EvaluatorOptions):
    """Test ratings are those of the folds, which lie beside the users' other ratings."""

    split: str = "train"
