"""The signatures of a recommender, with requests and what the trained model answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from .....components.data.ratings.ratings import RatingExamples, Ratings
from .....components.exporter.requests import raw_examples
from .....components.exporter.serving_model import Input, ServingModel, Signature
from .networks import SERVED
from .recommender import Recommender

if TYPE_CHECKING:
    from .....components.data.ratings.options import ExporterOptions

REQUESTS = 32
"""Warm-up requests a signature, taken evenly from the users."""

_CANDIDATES = 4 * REQUESTS
_LONGEST = 50
_CLEAR = 1e-4


def serve(
    models: Mapping[str, keras.Model], data: RatingExamples, parameters: ExporterOptions
) -> ServingModel:
    """Returns signatures for known users, histories of others, examples, and single ratings."""
    return serving_model(models[SERVED], data, parameters.recommendations)


def serving_model(
    model: keras.Model, data: RatingExamples, recommendations: int = 10
) -> ServingModel:
    """Returns the signatures with requests and the trained model's answers to them.

    - `serving_default`: `user`, ids;
    - `serving_history`: `items`, ids `(B, L)`, and `ratings` `(B, L)`: an unknown user's ratings;
    - `serving_examples`: `examples`, serialized raw `tf.train.Example`s;
    - `serving_ratings`: `user` and `item`, ids: the predicted `rating`.

    All but the last give `items`, `ratings` and `known`, see `Recommender`.

    Args:
        model: the model trained on all ratings, see `Recommender`.
        data: transformed and raw examples; the requests come from the split `train`.
        recommendations: integer. Number of items in an answer.
    """
    ratings = data.read()
    recommender = Recommender(
        model, ratings, data.asset_path("users"), data.asset_path("items"), recommendations
    )
    requests = _Requests(model, ratings, recommender.recommendations)
    text = tf.TensorSpec([None], tf.string)
    user = Input(text, "a user's id; items come by predicted rating and popularity")
    history = {
        "items": Input(
            tf.TensorSpec([None, None], tf.string),
            "instead of --user: JSON list of the items that someone rated",
        ),
        "ratings": Input(tf.TensorSpec([None, None], tf.float32), "JSON list of these ratings"),
    }
    return ServingModel(
        signatures={
            "serving_default": Signature(recommender.recommend, {"user": user}, *requests.users()),
            "serving_examples": Signature(
                recommender.recommend_examples, {"examples": Input(text)}, *requests.examples(data)
            ),
            "serving_history": Signature(
                recommender.recommend_history, history, *requests.histories()
            ),
            "serving_ratings": Signature(
                recommender.rate, {"user": Input(text), "item": Input(text)}, *requests.pairs()
            ),
        },
        track=[recommender, model],
    )


class _Requests:
    """Requests with references, which come from the Keras model and NumPy alone.

    Two predictions that differ by rounding only may change places where batches are of another
    size. Of an answer like that the items could not be compared: such requests are not made.
    """

    def __init__(self, model: keras.Model, ratings: Ratings, recommendations: int):
        self.model = model
        self.score_histories = tf.function(
            model.score_histories,
            input_signature=[
                tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.float32, tf.bool)
            ],
            autograph=False,
        )
        self.ratings = ratings
        self.recommendations = recommendations
        self.item_ids = np.array([*ratings.item_ids, ""], object)
        self.unknown = "?"
        while self.unknown in ratings.user_ids or self.unknown in ratings.item_ids:
            self.unknown += "?"
        users = np.unique(ratings.users)
        self.users_asked = users[:: max(1, len(users) // _CANDIDATES)][:_CANDIDATES]
        order = np.argsort(ratings.users, kind="stable")
        first, last = (
            np.searchsorted(ratings.users[order], self.users_asked, side=side)
            for side in ("left", "right")
        )
        self.rated = [order[begin:end] for begin, end in zip(first, last, strict=True)]

    def users(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns users, the last of them unknown."""
        names = [*self._names(), self.unknown]
        scores = np.concatenate([self._of_users(), self._of_histories([[]])])
        seen: list[Any] = [*(self.ratings.items[rated] for rated in self.rated), []]
        known = np.arange(len(names)) < len(self.users_asked)
        return self._chosen({"user": np.array(names, object)}, scores, seen, known)

    def histories(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns users' first ratings, the last history empty and the one before unknown items."""
        histories = [rated[:_LONGEST] for rated in self.rated]
        scores = self._of_histories([*histories, [], []])
        seen: list[Any] = [*(self.ratings.items[rated] for rated in histories), [], []]
        known = np.arange(len(seen)) < len(histories)
        length = max(map(len, histories))
        items = np.full((len(seen), length), "", object)
        ratings = np.zeros((len(seen), length), np.float32)
        for row, rated in enumerate(histories):
            items[row, : len(rated)] = self.item_ids[self.ratings.items[rated]]
            ratings[row, : len(rated)] = self.ratings.ratings[rated]
        items[-2, 0], ratings[-2, 0] = self.unknown, self.ratings.rating_range[1]
        return self._chosen({"items": items, "ratings": ratings}, scores, seen, known)

    def examples(self, data: RatingExamples) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns raw examples of users, and some of unknown ones with the same ratings."""
        raw = raw_examples(data, "train", [name.encode() for name in self._names()], "user")
        strangers = min(8, len(raw))
        scores = np.concatenate([self._of_histories(self.rated[:strangers]), self._of_users()])
        renamed = [_renamed(example, self.unknown) for example in raw[:strangers]]
        seen = [self.ratings.items[rated] for rated in [*self.rated[:strangers], *self.rated]]
        requests = {"examples": np.array([*renamed, *raw], object)}
        return self._chosen(requests, scores, seen, np.ones(len(seen), bool))

    def pairs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns users with items, among them unknown users, unknown items and both."""
        asked = self.users_asked[:REQUESTS]
        user_count, item_count = len(self.ratings.user_ids), len(self.ratings.item_ids)
        users = np.append(asked, [user_count, asked[0], user_count]).astype(np.int32)
        items = (np.arange(len(users)) * 7919 % item_count).astype(np.int32)
        items[-2:] = item_count
        rating = self.model({"user": tf.constant(users), "item": tf.constant(items)})
        user_ids = np.array([*self.ratings.user_ids, self.unknown], object)
        item_ids = np.array([*self.ratings.item_ids, self.unknown], object)
        return (
            {"user": user_ids[users], "item": item_ids[items]},
            {
                "rating": keras.ops.convert_to_numpy(rating),
                "known": (users < user_count) & (items < item_count),
            },
        )

    def _names(self) -> list[str]:
        return [self.ratings.user_ids[user] for user in self.users_asked]

    def _of_users(self) -> np.ndarray:
        scores = self.model.score_users(tf.constant(self.users_asked, tf.int32))
        return keras.ops.convert_to_numpy(scores)

    def _of_histories(self, histories: Sequence[Any]) -> np.ndarray:
        """Returns predictions by histories, each the positions of some ratings."""
        length = max([1, *map(len, histories)])
        items = np.full((len(histories), length), len(self.ratings.item_ids), np.int32)
        ratings = np.zeros((len(histories), length), np.float32)
        for row, rated in enumerate(histories):
            items[row, : len(rated)] = self.ratings.items[rated]
            ratings[row, : len(rated)] = self.ratings.ratings[rated]
        mask = items < len(self.ratings.item_ids)
        return self.score_histories(items, ratings, mask).numpy()

    def _chosen(
        self,
        requests: dict[str, np.ndarray],
        scores: np.ndarray,
        seen: Sequence[Any],
        known: np.ndarray,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the requests whose answer is clear, up to `REQUESTS`, and their references."""
        scores = scores.astype(np.float32)
        ranks = keras.ops.convert_to_numpy(self.model.ranking(tf.constant(scores)))
        ranks = np.pad(ranks.astype(np.float32), [(0, 0), (0, 1)], constant_values=-np.inf)
        for row, items in enumerate(seen):
            ranks[row, items] = -np.inf
        # One more than are recommended: it must not change places with the last one.
        best = np.argsort(-ranks, axis=1, kind="stable")[:, : self.recommendations + 1]
        ranked = np.take_along_axis(ranks, best, axis=1)
        left = np.isfinite(ranked)
        gaps = -np.diff(np.where(left, ranked, -1e9), axis=1)
        clear = ((gaps == 0) | (gaps > _CLEAR)).all(axis=1)
        rows = np.flatnonzero(clear) if clear.any() else np.arange(len(clear))
        # Evenly, and the special ones at the end in any case.
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, REQUESTS).astype(int))]
        best, left = (values[rows, : self.recommendations] for values in (best, left))
        ratings = np.take_along_axis(np.pad(scores, [(0, 0), (0, 1)])[rows], best, axis=1)
        references = {
            "ratings": np.where(left, ratings, 0.0).astype(np.float32),
            "known": known[rows],
        }
        if clear.any():
            references["items"] = np.where(left, self.item_ids[best], "")
        return {name: values[rows] for name, values in requests.items()}, references


def _renamed(serialized: bytes, user: str) -> bytes:
    example = tf.train.Example.FromString(serialized)
    example.features.feature["user"].bytes_list.value[:] = [user.encode()]
    return example.SerializeToString(deterministic=True)
