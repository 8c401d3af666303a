"""The examples that the warm-up requests of a method ask its model about."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ..base.transformed_data import TransformedData

Row = TypeVar("Row")


def request_split(data: TransformedData) -> str:
    """Returns the split that requests come from: `test`, or else `eval`, or else `train`."""
    return next((name for name in ("test", "eval") if data.splits.get(name)), "train")


def evenly(rows: Iterable[Row], total: int, count: int) -> list[Row]:
    """Returns `count` of `total` rows at equal distances, or all if there are fewer."""
    stride = max(1, total // count)
    return list(itertools.islice(rows, 0, stride * count, stride))


def raw_examples(
    data: TransformedData, split: str, values: Sequence[bytes], feature: str = "id"
) -> list[bytes]:
    """Returns serialized raw examples, in the order of their values of a feature of bytes."""
    import tensorflow as tf

    places = {value: place for place, value in enumerate(values)}
    raw: dict[int, bytes] = {}
    for batch in data.serialized(split, raw=True).batch(1024):
        parsed = tf.io.parse_example(batch, {feature: tf.io.FixedLenFeature([], tf.string)})
        for value, serialized in zip(parsed[feature].numpy(), batch.numpy(), strict=True):
            if value in places:
                raw[places[value]] = serialized
    return [raw[place] for place in range(len(values))]


def feature_values(serialized: bytes, name: str) -> Sequence[Any]:
    """Returns the values of a feature of a serialized `tf.train.Example`."""
    import tensorflow as tf

    feature = tf.train.Example.FromString(serialized).features.feature[name]
    kind = feature.WhichOneof("kind")
    return getattr(feature, kind).value if kind else []
