"""Ratings as stages hand them to methods: flat arrays, and the data that a model trains on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from ...base.errors import BadDataError
from ...base.transformed_data import TransformedData

_PARSED_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class Ratings:
    """The ratings of all users in the vocabulary, user after user in the order of the files.

    Args:
        users: int32 array `(R,)`, indices of the users.
        items: int32 array `(R,)`, indices of the items.
        ratings: float32 array `(R,)`.
        folds: int32 array `(R,)`, the fold in which each is a test rating, -1 for never.
        user_ids: U ids by index.
        item_ids: I ids by index.
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    folds: np.ndarray
    user_ids: list[str]
    item_ids: list[str]

    def __len__(self) -> int:
        return len(self.ratings)

    @property
    def fold_count(self) -> int:
        """Number of folds: one more than the largest."""
        return int(self.folds.max()) + 1

    @property
    def rating_range(self) -> tuple[float, float]:
        """The smallest and the largest rating."""
        return float(self.ratings.min()), float(self.ratings.max())

    def only(self, rows: np.ndarray | slice) -> Ratings:
        """Returns some of the ratings.

        Args:
            rows: boolean array `(R,)`, indices, or a slice.
        """
        parts = {name: getattr(self, name)[rows] for name in ("users", "items", "ratings", "folds")}
        return dataclasses.replace(self, **parts)

    def training(self, fold: int | None) -> Ratings:
        """Returns the ratings to train on: all but a fold's test ratings, or all for `None`."""
        return self if fold is None else self.only(self.folds != fold)

    def held_out(self, fold: int) -> Ratings:
        """Returns a fold's test ratings."""
        return self.only(self.folds == fold)

    def dataset(self, size: int | None = None) -> tf.data.Dataset:
        """Returns one batch of all: `({"user": int32, "item": int32}, float32 ratings)`, `(R,)`.

        Args:
            size: integer. At least R; the batch is filled up to it with users and items that are
                out of vocabulary, so that models trained on other numbers of ratings share one
                compiled step.

        Raises:
            ValueError: `size` is too small.
        """
        missing = (len(self) if size is None else size) - len(self)
        if missing < 0:
            raise ValueError(
                f"`size` must be at least the number of ratings, {len(self)}. Received: {size}"
            )
        inputs = {
            "user": np.pad(self.users, (0, missing), constant_values=len(self.user_ids)),
            "item": np.pad(self.items, (0, missing), constant_values=len(self.item_ids)),
        }
        ratings = np.pad(self.ratings, (0, missing))
        return tf.data.Dataset.from_tensors((inputs, ratings))


class RatingExamples(TransformedData):
    """Ratings by user, in splits.

    ```python
    ratings = data.read()
    model.fit(ratings.training(fold=0).dataset())
    ```
    """

    def read(self, split: str = "train") -> Ratings:
        """Returns the ratings of a split, without users out of vocabulary, read once.

        Raises:
            BadDataError: there are none.
        """
        if split not in self._ratings:
            self._ratings[split] = self._read(split)
        return self._ratings[split]

    @functools.cached_property
    def _ratings(self) -> dict[str, Ratings]:
        return {}

    def _read(self, split: str) -> Ratings:
        user_ids, item_ids = self.asset("users"), self.asset("items")
        ragged = tf.io.RaggedFeature
        parts: dict[str, list[np.ndarray]] = {"users": [], "items": [], "ratings": [], "folds": []}
        for batch in self.serialized(split).batch(_PARSED_AT_ONCE):
            parsed = tf.io.parse_example(
                batch,
                {
                    "user": tf.io.FixedLenFeature([], tf.int64),
                    "items": ragged(tf.int64, row_splits_dtype=tf.int64),
                    "ratings": ragged(tf.float32, row_splits_dtype=tf.int64),
                    "folds": ragged(tf.int64, row_splits_dtype=tf.int64),
                },
            )
            users = np.repeat(parsed["user"].numpy(), parsed["items"].row_lengths().numpy())
            known = users < len(user_ids)
            parts["users"].append(users[known].astype(np.int32))
            parts["ratings"].append(parsed["ratings"].flat_values.numpy()[known])
            for name in ("items", "folds"):
                parts[name].append(parsed[name].flat_values.numpy()[known].astype(np.int32))
        if not sum(map(len, parts["ratings"])):
            raise BadDataError(
                "There must be a rating of a user and an item that are both in the vocabulary; "
                "lower transform.min_user_ratings and transform.min_item_ratings. "
                f"Received: none in the split {split!r} of {self.splits}"
            )
        arrays = {name: np.concatenate(blocks) for name, blocks in parts.items()}
        return Ratings(**arrays, user_ids=user_ids, item_ids=item_ids)
