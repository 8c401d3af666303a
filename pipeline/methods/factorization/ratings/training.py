"""A factorization for each fold, trained without its test ratings, and the one that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from .....components.data.ratings.ratings import RatingExamples, Ratings
from .....components.trainer.fit import Fit
from .....models.factorization import RatingFactorization
from .networks import SERVED, fold_name

if TYPE_CHECKING:
    from .options import TrainerOptions


def fits(parameters: TrainerOptions, data: RatingExamples) -> list[Fit]:
    """A model for each fold, trained without its test ratings, and the one that is served."""
    ratings = data.read()
    folds = [(fold_name(fold), fold) for fold in range(ratings.fold_count)]
    return [_fit(name, fold, ratings, parameters) for name, fold in [*folds, (SERVED, None)]]


def _fit(name: str, fold: int | None, ratings: Ratings, parameters: TrainerOptions) -> Fit:
    def build() -> keras.Model:
        model = RatingFactorization(
            len(ratings.user_ids),
            len(ratings.item_ids),
            parameters.rank,
            members=parameters.members,
            factor_penalty=parameters.factor_penalty,
            penalty_exponent=parameters.penalty_exponent,
            bias_penalty=parameters.bias_penalty,
            rating_range=ratings.rating_range,
            sweeps_per_step=parameters.sweeps_per_epoch,
            popularity_weight=parameters.popularity_weight,
            name=name,
        )
        model.build()
        model.compile(jit_compile=False)
        return model

    return Fit(
        name=name,
        build=build,
        train=lambda: ratings.training(fold).dataset(len(ratings)),
        epochs=parameters.epochs,
        # The test ratings of the fold choose nothing: the objective falls from sweep to sweep.
        monitor="loss",
    )
