"""Means of metrics over rows as they come, overall and by slice."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from ..base.natural_sort import natural_key


class SlicedMeans:
    """Adds up rows in memory that grows with the number of slices only.

    A row's value of a metric is a number, or the pair of a mean and how many measurements it is the
    mean of; it then counts as so many.

    Args:
        metrics: names of the rows' numbers.
        slices: names in the rows by whose values the means are sliced.
        root_mean_square: metrics that are averaged as root mean squares and not as means.
        only_sliced: metrics that have a mean in slices only: their rows are not of one kind.

    ```python
    means = SlicedMeans(["accuracy"], ["task"])
    means.add({"accuracy": 1, "task": "1"})
    means.add({"accuracy": 0, "task": "1"})
    means.add({"accuracy": 1, "task": "2"})
    means.overall()           # {"accuracy": 0.6667}
    means.mean_over_slices()["metrics"]  # {"accuracy": 0.75}
    ```
    """

    def __init__(
        self,
        metrics: Iterable[str],
        slices: Iterable[str] = (),
        root_mean_square: Iterable[str] = (),
        only_sliced: Iterable[str] = (),
    ):
        self.metrics = tuple(metrics)
        self._squared = frozenset(root_mean_square)
        self._only_sliced = frozenset(only_sliced)
        self.slice_names = tuple(slices)
        self.rows = 0
        self.not_finite = dict.fromkeys(self.metrics, 0)
        self._overall = _Sums(self.metrics, self._squared)
        self._slices: dict[str, dict[str, _Sums]] = {name: {} for name in self.slice_names}

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row; `None` where a metric does not apply, NaN where its measurement failed.

        Raises:
            KeyError: a metric or slice is not in the row.
            ValueError: a count is negative.
        """
        for name in (*self.metrics, *self.slice_names):
            if name not in row:
                raise KeyError(
                    f"Every row of `evaluate` must have {name!r}; `None` where it does not apply. "
                    f"Received: {', '.join(row)}"
                )
        values = {}
        for name in self.metrics:
            given, count = row[name] if isinstance(row[name], tuple) else (row[name], 1)
            value = math.nan if given is None else float(given)
            if count < 0:
                raise ValueError(
                    "A metric's pair must hold the mean and how many measurements it is the mean "
                    f"of. Received: {row[name]} for {name!r}"
                )
            values[name] = value, count
            # A mean of no measurements says nothing, whatever it is.
            if count and given is not None and not math.isfinite(value):
                self.not_finite[name] += 1
        self.rows += 1
        self._overall.add(values)
        for name, sums in self._slices.items():
            if row[name] is not None:
                key = row[name].decode() if isinstance(row[name], bytes) else str(row[name])
                sums.setdefault(key, _Sums(self.metrics, self._squared)).add(values)

    def overall(self) -> dict[str, float | None]:
        """Returns the means over all rows; `None` where no row has a value, or slices alone do."""
        means = self._overall.means()
        return {name: None if name in self._only_sliced else means[name] for name in means}

    def counts(self) -> dict[str, int]:
        """Returns for each metric how many rows have a value."""
        return dict(self._overall.counts)

    def slices(self) -> list[dict[str, Any]]:
        """Returns a dict for every slice, in the order of its names and values.

        Under `slice` stand its name and value, under `count` the number of its rows, under `counts`
        for each metric how many of them have a value, and under `metrics` the means.
        """
        return [
            {
                "slice": {name: value},
                "count": sums.rows,
                "counts": dict(sums.counts),
                "metrics": sums.means(),
            }
            for name in self.slice_names
            for value, sums in sorted(
                self._slices[name].items(), key=lambda item: natural_key(item[0])
            )
        ]

    def mean_over_slices(self) -> dict[str, Any] | None:
        """Returns the means of the first slice name's means, or `None` without slices.

        Under `standard_deviation` stand the sample standard deviations of the slices' means, `None`
        for fewer than two.
        """
        if not self.slice_names or not self._slices[self.slice_names[0]]:
            return None
        name = self.slice_names[0]
        every = [sums.means() for sums in self._slices[name].values()]
        means: dict[str, float | None] = {}
        deviations: dict[str, float | None] = {}
        for metric in self.metrics:
            values = [found[metric] for found in every if found[metric] is not None]
            means[metric] = math.fsum(values) / len(values) if values else None
            deviations[metric] = statistics.stdev(values) if len(values) > 1 else None
        return {"slice": name, "metrics": means, "standard_deviation": deviations}


class _Sums:
    """Sums and counts of finite values, with Neumaier's correction of rounding."""

    def __init__(self, metrics: Iterable[str], squared: frozenset[str]):
        self.rows = 0
        self.counts = dict.fromkeys(metrics, 0)
        self._squared = squared
        self._sums = {name: [0.0, 0.0, 0] for name in self.counts}

    def add(self, values: Mapping[str, tuple[float, int]]) -> None:
        self.rows += 1
        for name, (mean, count) in values.items():
            if not math.isfinite(mean) or not count:
                continue
            self.counts[name] += 1
            value = count * (mean * mean if name in self._squared else mean)
            entry = self._sums[name]
            total = entry[0] + value
            if abs(entry[0]) >= abs(value):
                entry[1] += (entry[0] - total) + value
            else:
                entry[1] += (value - total) + entry[0]
            entry[0] = total
            entry[2] += count

    def means(self) -> dict[str, float | None]:
        return {name: self._mean(name) for name in self._sums}

    def _mean(self, name: str) -> float | None:
        total, correction, count = self._sums[name]
        if not count:
            return None
        mean = (total + correction) / count
        return math.sqrt(mean) if name in self._squared else mean
