"""Mergeable summaries of bounded size: quantiles, and counts of distinct values.

Both are exact while they are small, and report when they no longer are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np


class QuantileSketch:
    """Quantiles of a stream of numbers, in bounded memory.

    Manku, Rajagopalan and Lindsay 1998, section 3: buffers of sorted values on levels, where a
    value on level `l` stands for `2**l` values; a full buffer keeps each second value, which moves
    up a level. Exact up to `size` values; after that the rank error is at most about
    `log2(n / size) / (2 * size)` of all values.

    Args:
        size: values in a buffer before it is halved; even.
    """

    def __init__(self, size: int = 4096):
        if size < 2 or size % 2:
            raise ValueError(f"`size` must be even and at least 2. Received: size={size}")
        self._size = size
        self._levels: list[np.ndarray] = [np.empty(0)]
        self._halvings = 0

    def add(self, values: np.ndarray) -> None:
        """Adds finite float64 values, shape (n,)."""
        # In pieces, so that no buffer grows beyond twice its size.
        for start in range(0, len(values), self._size):
            self._put(0, values[start : start + self._size])

    def merge(self, other: QuantileSketch) -> None:
        """Adds the values of another sketch of the same size."""
        for level, values in enumerate(other._levels):
            self._put(level, values)

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns sorted values and their weights; the weights add up to the number seen."""
        values = np.concatenate(self._levels)
        weights = np.concatenate(
            [np.full(len(buffer), 1 << level) for level, buffer in enumerate(self._levels)]
        )
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def quantiles(self, fractions: Iterable[float]) -> list[float]:
        """Returns the values at the given fractions, each in [0, 1], of the sorted stream.

        Between the two middle values of an even number the mean is taken, as in a median.
        """
        values, weights = self.samples()
        if not len(values):
            return []
        ends = np.cumsum(weights)
        quantiles = []
        for fraction in fractions:
            rank = fraction * ends[-1]
            low = min(np.searchsorted(ends, rank, side="left"), len(values) - 1)
            high = min(np.searchsorted(ends, rank, side="right"), len(values) - 1)
            quantiles.append(float(values[low] + (values[high] - values[low]) / 2))
        return quantiles

    def _put(self, level: int, values: np.ndarray) -> None:
        while len(self._levels) <= level:
            self._levels.append(np.empty(0))
        buffer = np.concatenate([self._levels[level], values])
        if len(buffer) < self._size:
            self._levels[level] = buffer
            return
        buffer = np.sort(buffer, kind="stable")
        even = len(buffer) - len(buffer) % 2
        # Taking odd and even places in turn keeps the errors of the halvings from adding up.
        offset = self._halvings % 2
        self._halvings += 1
        self._levels[level] = buffer[even:]
        self._put(level + 1, buffer[offset:even:2])


class ValueCounts:
    """Counts of distinct hashable values, in bounded memory.

    Exact while there are at most `capacity` distinct values. Beyond that the counts are those of
    Misra and Gries 1982 (each at most `total / capacity` too small, with all frequent values kept),
    and the number of distinct values is estimated from the smallest hashes (Bar-Yossef et al.
    2002), with a standard error of `1 / sqrt(4096)`.

    Args:
        capacity: number of values kept.
    """

    _HASHES = 4096

    def __init__(self, capacity: int = 20_000):
        self._capacity = capacity
        self.counts: Counter[Any] = Counter()
        self._hashes: np.ndarray | None = None

    @property
    def exact(self) -> bool:
        """Whether all counts are exact."""
        return self._hashes is None

    @property
    def unique(self) -> int:
        """The number of distinct values, estimated if not `exact`."""
        if self._hashes is None:
            return len(self.counts)
        if len(self._hashes) < self._HASHES:
            return len(self._hashes)
        return round((self._HASHES - 1) / (float(self._hashes[-1]) / 2.0**64))

    def add(self, values: Iterable[Any]) -> None:
        """Adds values."""
        if self._hashes is not None:
            values = Counter(values)
            self._see(values)
        self.counts.update(values)
        self._prune()

    def merge(self, other: ValueCounts) -> None:
        """Adds the values of another summary of the same capacity."""
        if self._hashes is not None or other._hashes is not None:
            self._see(self.counts if self._hashes is None else ())
            if other._hashes is None:
                self._see(other.counts)
            else:
                self._hashes = self._smallest(np.concatenate([self._hashes, other._hashes]))
        self.counts.update(other.counts)
        self._prune()

    def _prune(self) -> None:
        if len(self.counts) <= self._capacity:
            return
        if self._hashes is None:
            self._see(self.counts)
        # Twice the capacity, so that the cost of a cut is spread over many values.
        if len(self.counts) > 2 * self._capacity:
            cut = sorted(self.counts.values(), reverse=True)[self._capacity]
            self.counts = Counter(
                {value: count - cut for value, count in self.counts.items() if count > cut}
            )

    def _see(self, values: Iterable[Any]) -> None:
        hashes = np.array([_hash(value) for value in values], dtype=np.uint64)
        known = np.empty(0, np.uint64) if self._hashes is None else self._hashes
        self._hashes = self._smallest(np.concatenate([known, hashes]))

    def _smallest(self, hashes: np.ndarray) -> np.ndarray:
        return np.unique(hashes)[: self._HASHES]


def _hash(value: Any) -> int:
    data = value if isinstance(value, bytes) else repr(value).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
