"""Counts values in training examples, for the analysis of a kind of data."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apache_beam as beam

Counters = tuple[collections.Counter, ...]


class CountFeatures(beam.CombineFn):
    """Counts in several counters in one pass.

    Args:
        counters: number of counters.
        count: `count(counters, features)` counts one example.
    """

    def __init__(self, counters: int, count: Callable[[Counters, Mapping[str, Any]], None]):
        super().__init__()
        self._counters = counters
        self._count = count

    def create_accumulator(self) -> Counters:
        """Returns empty counters."""
        return tuple(collections.Counter() for _ in range(self._counters))

    def add_input(self, accumulator: Counters, features: Mapping[str, Any]) -> Counters:
        """Counts an example."""
        self._count(accumulator, features)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counters]) -> Counters:
        """Adds counters up."""
        totals = self.create_accumulator()
        for accumulator in accumulators:
            for total, counter in zip(totals, accumulator, strict=True):
                total.update(counter)
        return totals

    def extract_output(self, accumulator: Counters) -> Counters:
        """Returns the counters."""
        return accumulator
