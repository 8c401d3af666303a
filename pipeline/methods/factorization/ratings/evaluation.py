"""Measures models of ratings on the test ratings of each fold, a row a fold and user.

Dimensions: B users of a batch, I items, T test ratings of a fold, K length of a ranked list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from .....components.base.errors import BadDataError
from .....components.data.ratings.ratings import RatingExamples, Ratings
from .....models.factorization.ratings.rating_baselines import (
    global_mean,
    item_popularity,
    rating_biases,
)
from .metrics import RANKED
from .networks import fold_name

if TYPE_CHECKING:
    from .....components.data.ratings.options import EvaluatorOptions

ERROR_STEP = 0.5
"""Width of the bins in which a row counts its errors."""

_MOST_SCORES = 1 << 23
_MISPREDICTED = 0.5


def evaluate(
    models: Mapping[str, keras.Model],
    data: RatingExamples,
    split: str,
    parameters: EvaluatorOptions,
) -> Iterator[dict[str, Any]]:
    """Yields a row for each fold and each user with test ratings in it.

    Args:
        models: by name; `fold_1` was trained without the test ratings of the fold 0, and so on.
            Each has `score_users`, from indices `(B,)` to ratings of all items `(B, I)`, and
            `ranking`, from such ratings to what items are ordered by.
        data: transformed examples.
        split: string.
        parameters: with `threshold`; an item is relevant if its test rating is at least this.

    Yields:
        A dict: `fold` (from `"1"`) and `user` (the id), strings; all of `metrics.METRICS`: those of
        errors as pairs of the value over the user's test ratings and their number (for `rmse` the
        value is the root of the mean of squares), those of rankings as numbers, `None` for a user
        without relevant test items; `training_ratings` and `test_ratings`, numbers; `errors`,
        numbers of test ratings by rounded predicted minus true rating; and, if the user's worst
        prediction is off by half of the range of ratings, `details` about it.

        Ranked are all items that the user has no training rating of; items of equal rank in their
        order in the vocabulary.

    Raises:
        ValueError: there is no test rating, or a fold has no model.
        BadDataError: all ratings are test ratings of one fold.
    """
    ratings = data.read(split)
    if ratings.fold_count < 1:
        raise ValueError(
            "There must be test ratings: folds from 0. Received: ratings that are all in training"
        )
    for fold in range(ratings.fold_count):
        name = fold_name(fold)
        if name not in models:
            raise ValueError(
                f"Each of the {ratings.fold_count} folds must have a model. "
                f"Received: {', '.join(models) or 'none'}, without {name}"
            )
        yield from _Fold(ratings, fold, parameters.threshold).rows(scorer(models[name]))


def scorer(model: keras.Model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns a compiled function from indices of users `(B,)` to ratings and ranks `(B, I)`."""

    def score(users):
        ratings = tf.cast(model.score_users(users), tf.float32)
        return ratings, tf.cast(model.ranking(ratings), tf.float32)

    compiled = tf.function(
        score, input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False
    ).get_concrete_function()

    def run(users):
        ratings, ranks = compiled(tf.constant(users, tf.int32))
        return ratings.numpy(), ranks.numpy()

    return run


class _Fold:
    """The test ratings of a fold by user, with the predictions of the baselines."""

    def __init__(self, ratings: Ratings, fold: int, threshold: float):
        self.name = str(fold + 1)
        self.threshold = threshold
        self.low, self.high = ratings.rating_range
        self.training = _by_user(ratings.training(fold))
        if not len(self.training):
            raise BadDataError(
                "A fold must leave ratings to train on; with so few set example_gen.folds higher. "
                f"Received: fold {self.name} with all {len(ratings)} ratings"
            )
        self.test = _by_user(ratings.held_out(fold))
        mean = global_mean(self.training.ratings)
        of_users, of_items = rating_biases(
            self.training.users,
            self.training.items,
            self.training.ratings,
            len(ratings.user_ids),
            len(ratings.item_ids),
        )
        with_biases = mean + of_users[self.test.users] + of_items[self.test.items]
        self.baselines = {
            "_bias": np.clip(with_biases, self.low, self.high),
            "_global_mean": np.full(len(self.test), mean),
        }
        self.popularity = item_popularity(self.training.items, len(ratings.item_ids))

    def rows(
        self, score: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[dict[str, Any]]:
        """Yields the rows of this fold, by index of the user."""
        users = np.unique(self.test.users)
        size = max(1, _MOST_SCORES // len(self.test.item_ids))
        for first in range(0, len(users), size):
            batch = users[first : first + size]
            yield from self._batch_rows(batch, *score(batch))

    def _batch_rows(
        self, users: np.ndarray, scores: np.ndarray, ranks: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        test = _slice(self.test, users)
        truth = self.test.only(test)
        owners, items = np.searchsorted(users, truth.users), truth.items
        counts = np.bincount(owners, minlength=len(users))
        predicted = scores[owners, items].astype(np.float64)
        errors = {"": predicted - truth.ratings}
        for name, values in self.baselines.items():
            errors[name] = values[test] - truth.ratings
        metrics: dict[str, list[Any]] = {}
        for name, differences in errors.items():
            squares = np.bincount(owners, differences**2) / counts
            metrics[f"rmse{name}"] = _pairs(np.sqrt(squares), counts)
            metrics[f"mae{name}"] = _pairs(
                np.bincount(owners, np.abs(differences)) / counts, counts
            )
        known = self.training.only(_slice(self.training, users))
        rows_of_known = np.searchsorted(users, known.users)
        # The users between two of the batch that have no test ratings are none of it.
        inside = users[np.minimum(rows_of_known, len(users) - 1)] == known.users
        seen = rows_of_known[inside], known.items[inside]
        relevant = np.zeros(scores.shape, bool)
        liked = truth.ratings >= self.threshold
        relevant[owners[liked], items[liked]] = True
        popular = np.broadcast_to(self.popularity, scores.shape)
        metrics |= _ranking(ranks, seen, relevant, "")
        metrics |= _ranking(popular, seen, relevant, "_popularity")
        metrics["training_ratings"] = np.bincount(seen[0], minlength=len(users)).tolist()
        metrics["test_ratings"] = counts.tolist()
        bounds = np.concatenate([[0], np.cumsum(counts)])
        for index, user in enumerate(users):
            own = slice(bounds[index], bounds[index + 1])
            row: dict[str, Any] = {"fold": self.name, "user": self.test.user_ids[user]}
            row |= {name: values[index] for name, values in metrics.items()}
            row["errors"] = _histogram(errors[""][own])
            details = self._details(row, items[own], truth.ratings[own], predicted[own])
            yield row | details

    def _details(
        self, row: Mapping[str, Any], items: np.ndarray, truth: np.ndarray, predicted: np.ndarray
    ) -> dict[str, Any]:
        distances = np.abs(predicted - truth)
        worst = int(np.argmax(distances))
        if distances[worst] < _MISPREDICTED * (self.high - self.low):
            return {}
        return {
            "details": {
                "user": row["user"],
                "item": self.test.item_ids[items[worst]],
                "predicted": round(float(predicted[worst]), 3),
                "rating": float(truth[worst]),
                "training ratings": row["training_ratings"],
                "test ratings": row["test_ratings"],
            }
        }


def _by_user(ratings: Ratings) -> Ratings:
    return ratings.only(np.argsort(ratings.users, kind="stable"))


def _slice(ratings: Ratings, users: np.ndarray) -> slice:
    """Returns where the ratings from the first to the last of some users are."""
    first = np.searchsorted(ratings.users, users[0])
    return slice(first, np.searchsorted(ratings.users, users[-1], side="right"))


def _pairs(values: np.ndarray, counts: np.ndarray) -> list[tuple[float, int]]:
    return list(zip(values.tolist(), counts.tolist(), strict=True))


def _ranking(
    scores: np.ndarray, seen: tuple[np.ndarray, np.ndarray], relevant: np.ndarray, name: str
) -> dict[str, list[float | None]]:
    """Returns precision, recall and NDCG of each row's K best, `None` without relevant items."""
    open_scores = np.where(np.isfinite(scores), scores, -np.inf)
    open_scores[seen] = -np.inf
    length = min(RANKED, scores.shape[1])
    best = tf.math.top_k(open_scores, length).indices.numpy()
    hits = np.take_along_axis(relevant, best, axis=1)
    relevant_counts = relevant.sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, RANKED + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant_counts, RANKED)]
    divisors = np.maximum(relevant_counts, 1)
    values = {
        "precision": hits.sum(axis=1) / RANKED,
        "recall": hits.sum(axis=1) / divisors,
        "ndcg": hits @ discounts[:length] / np.where(relevant_counts, ideal, 1.0),
    }
    return {
        f"{metric}_at_{RANKED}{name}": [
            value if count else None
            for value, count in zip(per_user.tolist(), relevant_counts.tolist(), strict=True)
        ]
        for metric, per_user in values.items()
    }


def _histogram(errors: np.ndarray) -> dict[str, int]:
    rounded = np.rint(errors[np.isfinite(errors)] / ERROR_STEP).astype(np.int64)
    bins, counts = np.unique(rounded, return_counts=True)
    return {
        f"{number * ERROR_STEP:g}": count
        for number, count in zip(bins.tolist(), counts.tolist(), strict=True)
    }
