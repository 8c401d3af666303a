"""Mergeable statistics of examples, in bounded memory.

Parts of a split are summarized separately and then joined; `statistics_proto` writes the result.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..io.example_proto import example_class
from .sketches import QuantileSketch, ValueCounts

KINDS = ("int64_list", "float_list", "bytes_list")
_BATCH = 256
_LONG_VALUE = 256


class Moments:
    """Count, mean, variance, extremes and zeros of numbers.

    Parts are joined by the pairwise update of Chan, Golub and LeVeque 1979, equation 1.5, which
    loses no precision to large means.

    Attributes:
        count: number of finite values; `mean` and `squares`, the sum of squared differences from
            the mean, are theirs.
        low: least value that is not NaN, infinities included; `high` likewise.
        zeros: number of zeros.
        nan: number of NaNs.
        infinite: number of infinities.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.zeros = 0
        self.nan = 0
        self.infinite = 0

    def add(self, values: np.ndarray) -> np.ndarray:
        """Adds float64 values, shape (n,); returns those that are finite."""
        known = values[~np.isnan(values)]
        finite = known[np.isfinite(known)]
        self.nan += values.size - known.size
        self.infinite += known.size - finite.size
        self.zeros += finite.size - int(np.count_nonzero(finite))
        if known.size:
            self.low = min(self.low, float(known.min()))
            self.high = max(self.high, float(known.max()))
        if finite.size:
            mean = float(finite.mean())
            self._join(finite.size, mean, float(np.square(finite - mean).sum()))
        return finite

    def merge(self, other: Moments) -> None:
        """Adds the statistics of another part."""
        self.nan += other.nan
        self.infinite += other.infinite
        self.zeros += other.zeros
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self._join(other.count, other.mean, other.squares)

    def _join(self, count: int, mean: float, squares: float) -> None:
        total = self.count + count
        if not count:
            return
        difference = mean - self.mean
        self.mean += difference * count / total
        self.squares += squares + difference * difference * self.count * count / total
        self.count = total


class Numbers:
    """Statistics of the numbers of a feature."""

    def __init__(self) -> None:
        self.moments = Moments()
        self.quantiles = QuantileSketch()

    def add(self, values: list[float]) -> None:
        """Adds integers or floats."""
        self.quantiles.add(self.moments.add(np.array(values, dtype=np.float64)))

    def merge(self, other: Numbers) -> None:
        """Adds the statistics of another part."""
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)


class Strings:
    """Statistics of the byte strings of a feature.

    Attributes:
        count: number of strings; `total_bytes`, `least_bytes` and `most_bytes` are their lengths.
        invalid_utf8: number of strings that are not UTF-8.
        counts: by value; a value of more than 256 bytes, such as an image, is a `Digest`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total_bytes = 0
        self.least_bytes = math.inf
        self.most_bytes = 0
        self.invalid_utf8 = 0
        self.counts = ValueCounts()

    def add(self, values: list[bytes]) -> None:
        """Adds byte strings."""
        counts: Counter[bytes] = Counter()
        for value, count in Counter(values).items():
            length = len(value)
            self.count += count
            self.total_bytes += count * length
            self.least_bytes = min(self.least_bytes, length)
            self.most_bytes = max(self.most_bytes, length)
            if not is_utf8(value):
                self.invalid_utf8 += count
            counts[Digest.of(value) if length > _LONG_VALUE else value] += count
        self.counts.add(counts)

    def merge(self, other: Strings) -> None:
        """Adds the statistics of another part."""
        self.count += other.count
        self.total_bytes += other.total_bytes
        self.least_bytes = min(self.least_bytes, other.least_bytes)
        self.most_bytes = max(self.most_bytes, other.most_bytes)
        self.invalid_utf8 += other.invalid_utf8
        self.counts.merge(other.counts)


class Digest(bytes):
    """A placeholder for a long value, which is counted but cannot be shown."""

    @classmethod
    def of(cls, value: bytes) -> Digest:
        """Returns a value's digest."""
        return cls(hashlib.blake2b(value, digest_size=16).digest())


class FeatureAccumulator:
    """Statistics of one feature of a split.

    Attributes:
        present: number of examples that have the feature, be it without a value.
        of_kind: number of examples by the kind of their values.
        values: number of values; `least`, `most` and `lengths` are those of an example.
        numbers: statistics of its numbers.
        integers: counts of its integers.
        strings: statistics of its strings.
    """

    def __init__(self) -> None:
        self.present = 0
        self.of_kind: Counter[str] = Counter()
        self.values = 0
        self.least = math.inf
        self.most = 0
        self.lengths = QuantileSketch()
        self.numbers = Numbers()
        self.integers = ValueCounts()
        self.strings = Strings()

    def add(self, lengths: list[int], kinds: Counter[str], values: dict[str, list[Any]]) -> None:
        """Adds the feature in a batch of examples.

        Args:
            lengths: number of values in each example that has the feature.
            kinds: number of examples by the kind of their values.
            values: all values by kind.
        """
        self.present += len(lengths)
        self.of_kind.update(kinds)
        self.values += sum(lengths)
        self.least = min(self.least, min(lengths))
        self.most = max(self.most, max(lengths))
        self.lengths.add(np.array(lengths, dtype=np.float64))
        if integers := values.get("int64_list"):
            self.numbers.add(integers)
            self.integers.add(integers)
        if floats := values.get("float_list"):
            self.numbers.add(floats)
        if strings := values.get("bytes_list"):
            self.strings.add(strings)

    def merge(self, other: FeatureAccumulator) -> None:
        """Adds the statistics of another part."""
        self.present += other.present
        self.of_kind.update(other.of_kind)
        self.values += other.values
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.lengths.merge(other.lengths)
        self.numbers.merge(other.numbers)
        self.integers.merge(other.integers)
        self.strings.merge(other.strings)


class SplitAccumulator:
    """Statistics of a split or of a part of it.

    Attributes:
        num_examples: number of examples.
        features: accumulators by feature name.
    """

    def __init__(self) -> None:
        self.num_examples = 0
        self.features: dict[str, FeatureAccumulator] = {}

    def add(self, examples: Iterable[bytes]) -> None:
        """Adds serialized `tf.train.Example`s."""
        rest = iter(examples)
        while batch := list(itertools.islice(rest, _BATCH)):
            self._add_batch(batch)

    def merge(self, other: SplitAccumulator) -> None:
        """Adds the statistics of another part."""
        self.num_examples += other.num_examples
        for name, feature in other.features.items():
            self.features.setdefault(name, FeatureAccumulator()).merge(feature)

    def _add_batch(self, batch: list[bytes]) -> None:
        lengths: dict[str, list[int]] = defaultdict(list)
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        values: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        parse = example_class().FromString
        for serialized in batch:
            for name, feature in parse(serialized).features.feature.items():
                kind = feature.WhichOneof("kind")
                numbers = getattr(feature, kind).value if kind else ()
                lengths[name].append(len(numbers))
                if kind:
                    kinds[name][kind] += 1
                    values[name][kind].extend(numbers)
        self.num_examples += len(batch)
        for name in sorted(lengths):
            feature = self.features.setdefault(name, FeatureAccumulator())
            feature.add(lengths[name], kinds[name], values[name])


def is_utf8(value: bytes) -> bool:
    """Whether bytes are UTF-8 text."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
