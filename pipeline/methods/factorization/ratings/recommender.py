"""Recommends items inside a TensorFlow graph: ids to indices, a model of ratings, indices to ids.

Dimensions: B batch, L ratings of a history, U users, I items, K recommended items, R ratings.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from .....components.data.ratings.ratings import Ratings
from .....components.io.vocabulary_file import line_numbers, numbered_lines


class Recommender(tf.Module):
    """Recommends with a trained model the items that a user has not rated.

    Recommendations are a dict: `items` `(B, K)`, ids, best first; `ratings` `(B, K)` float32, the
    predicted ratings; `known` `(B,)` bool, whether the answer knows the user. Where fewer than K
    items are left, `""` and 0.0 fill the row. Best is what the model's `ranking` says; items of
    equal rank come in the order of the vocabulary.

    Args:
        model: Keras model from `user` and `item` `(B,)` to ratings `(B,)`, with `score_users`, from
            indices `(B,)` to ratings `(B, I)`, and `score_histories`, from item indices `(B, L)`,
            ratings `(B, L)` and a mask `(B, L)` to ratings `(B, I)`, and `ranking`, from such
            ratings to what items are ordered by. It takes the user U and the item I, of which it
            knows nothing.
        ratings: what is known: users are not recommended items that they have rated here.
        users: path of the users' ids, one a line.
        items: path of the items' ids, one a line.
        recommendations: integer. K; at most I items are recommended.
    """

    def __init__(
        self,
        model: keras.Model,
        ratings: Ratings,
        users: str,
        items: str,
        recommendations: int,
    ):
        super().__init__()
        self.model = model
        self.user_count, self.item_count = len(ratings.user_ids), len(ratings.item_ids)
        self.recommendations = min(recommendations, self.item_count)
        self.rating_range = ratings.rating_range
        self.user_indices = line_numbers(users, self.user_count)
        self.item_indices = line_numbers(items, self.item_count)
        self.item_ids = numbered_lines(items)
        order = np.argsort(ratings.users, kind="stable")
        splits = np.searchsorted(ratings.users[order], np.arange(self.user_count + 1))
        # One more row, which is empty: that of unknown users.
        self.seen_splits = tf.constant(np.append(splits, splits[-1]), tf.int64)
        self.seen_items = tf.constant(ratings.items[order], tf.int32)
        indices = tf.TensorSpec([None], tf.int32)
        self._score_users = tf.function(
            self._score_users_once, input_signature=[indices], autograph=False
        )
        history = [tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.float32, tf.bool)]
        self._score_histories = tf.function(
            self._score_histories_once, input_signature=history, autograph=False
        )

    def recommend(self, user: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends to users of training.

        Args:
            user: string tensor `(B,)`, ids. Unknown users get the items that are best by
                themselves, as with an empty history.
        """
        index = self._user_index(user)
        return self._best(self._score_users(index), self._seen(index), index < self.user_count)

    def recommend_history(self, items: tf.Tensor, ratings: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends to users that training has not seen, by folding in their ratings.

        Args:
            items: string tensor `(B, L)`, ids of items; `""` is padding, unknown items do not
                count. Of an item that comes more than once the last rating counts.
            ratings: float32 tensor `(B, L)`; outside of the range of training's ratings the nearest
                in it; what is not a number does not count.

        Raises:
            tf.errors.InvalidArgumentError: the shapes differ.
        """
        equal = tf.debugging.assert_equal(
            tf.shape(items), tf.shape(ratings), "There must be a rating for each of the items."
        )
        with tf.control_dependencies([equal]):
            index, mask = self._history(tf.identity(items), ratings)
        scores = self._score_histories(index, ratings, mask)
        return self._best(scores, _entries(index), tf.reduce_any(mask, axis=1))

    def recommend_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends for serialized raw `tf.train.Example`s `(B,)`.

        Known users are answered as by `recommend`, others by their ratings. Items of the example
        are not recommended to either. All features may be missing.
        """
        parsed = tf.io.parse_example(
            examples,
            {
                "user": tf.io.FixedLenFeature([], tf.string, default_value=""),
                "items": tf.io.RaggedFeature(tf.string),
                "ratings": tf.io.RaggedFeature(tf.float32),
            },
        )
        index = self._user_index(parsed["user"])
        known = index < self.user_count
        items = parsed["items"].to_tensor("")
        # An item without a rating has been seen, and not rated.
        ratings = _wide(parsed["ratings"].to_tensor(float("nan")), tf.shape(items)[1])
        item, mask = self._history(items, ratings)
        of_users = self._score_users(index)

        def fold_in() -> tf.Tensor:
            return tf.where(known[:, None], of_users, self._score_histories(item, ratings, mask))

        # Folding in takes far longer than all the rest.
        scores = tf.cond(tf.reduce_all(known), lambda: of_users, fold_in)
        seen = tf.concat([self._seen(index), _entries(item)], axis=0)
        return self._best(scores, seen, known | tf.reduce_any(mask, axis=1))

    def rate(self, user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts ratings.

        Args:
            user: string tensor `(B,)`, ids.
            item: string tensor `(B,)`, ids.

        Returns:
            A dict: `rating` `(B,)` float32, for an unknown user or item what the other says alone;
            `known` `(B,)` bool, whether both are known.
        """
        users = self._user_index(user)
        items = tf.cast(self.item_indices.lookup(item), tf.int32)
        rating = self.model({"user": users, "item": items}, training=False)
        return {
            "rating": tf.cast(rating, tf.float32),
            "known": (items < self.item_count) & (users < self.user_count),
        }

    def _score_users_once(self, index: tf.Tensor) -> tf.Tensor:
        """Traced once: all signatures share this part, with the model in it."""
        return tf.cast(self.model.score_users(index), tf.float32)

    def _score_histories_once(
        self, index: tf.Tensor, ratings: tf.Tensor, mask: tf.Tensor
    ) -> tf.Tensor:
        # A model reduces over ratings: there is at least one, if only a masked one.
        missing = [[0, 0], [0, tf.maximum(1 - tf.shape(index)[1], 0)]]
        index = tf.pad(index, missing, constant_values=self.item_count)
        mask = tf.pad(mask, missing)
        ratings = tf.where(mask, tf.clip_by_value(tf.pad(ratings, missing), *self.rating_range), 0)
        return tf.cast(self.model.score_histories(index, ratings, mask), tf.float32)

    def _history(self, items: tf.Tensor, ratings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the items' indices, I for unknown ones, and which ratings count."""
        index = tf.cast(self.item_indices.lookup(items), tf.int32)
        mask = (index < self.item_count) & tf.math.is_finite(ratings)
        shape = tf.shape(index)
        position = tf.broadcast_to(tf.range(shape[1])[None, :], shape)
        last = tf.tensor_scatter_nd_max(
            tf.fill([shape[0], self.item_count + 1], -1),
            _entries(index),
            tf.reshape(tf.where(mask, position, -1), [-1]),
        )
        return index, mask & (tf.gather(last, index, batch_dims=1) == position)

    def _user_index(self, user: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.user_indices.lookup(user), tf.int32)

    def _seen(self, index: tf.Tensor) -> tf.Tensor:
        """Returns `(row, item)` of all that users `(B,)` have rated in training."""
        by_user = tf.RaggedTensor.from_row_splits(self.seen_items, self.seen_splits, validate=False)
        seen = tf.gather(by_user, index)
        return tf.stack([tf.cast(seen.value_rowids(), tf.int32), seen.flat_values], axis=1)

    def _best(self, scores: tf.Tensor, seen: tf.Tensor, known: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommends by scores `(B, I)`; `seen` are pairs of row and item, I for no item."""
        lowest = tf.constant(float("-inf"))
        # Unknown items fall into a column of their own.
        wide = tf.pad(tf.cast(self.model.ranking(scores), tf.float32), [[0, 0], [0, 1]])
        wide = tf.tensor_scatter_nd_update(wide, seen, tf.fill([tf.shape(seen)[0]], lowest))
        ranks, best = tf.math.top_k(wide[:, :-1], self.recommendations)
        left = ranks > lowest
        ratings = tf.gather(scores, best, batch_dims=1)
        ids = self.item_ids.lookup(tf.cast(best, tf.int64))
        return {
            "items": tf.where(left, ids, ""),
            "ratings": tf.where(left, ratings, 0.0),
            "known": known,
        }


def _entries(index: tf.Tensor) -> tf.Tensor:
    """Returns `(row, value)` of each entry of a matrix."""
    rows = tf.broadcast_to(tf.range(tf.shape(index)[0])[:, None], tf.shape(index))
    return tf.stack([tf.reshape(rows, [-1]), tf.reshape(index, [-1])], axis=1)


def _wide(values: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Returns a matrix cut or padded with NaN to a number of columns."""
    values = values[:, :columns]
    missing = columns - tf.shape(values)[1]
    return tf.pad(values, [[0, 0], [0, missing]], constant_values=float("nan"))
