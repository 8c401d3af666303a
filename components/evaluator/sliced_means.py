"""Means of metrics over rows as they come, overall and by slice, with the measures of sets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.natural_sort import natural_key
from .metric import Metric, SetMeasure


class SlicedMeans:
    """Adds up rows in memory that grows with the number of slices only.

    A row's value of a metric is a number, or a pair of a mean and its number of measurements, by
    which it is weighted.

    Args:
        metrics: `Metric`s of the rows and of whole sets.
        slices: names in the rows by whose values the means are sliced.

    ```python
    means = SlicedMeans([Metric("accuracy", "share of correct answers")], ["task"])
    means.add({"accuracy": 1, "task": "1"})
    means.add({"accuracy": 0, "task": "1"})
    means.add({"accuracy": 1, "task": "2"})
    means.overall()           # {"accuracy": 0.6667}
    means.mean_over_slices()["metrics"]  # {"accuracy": 0.75}
    ```
    """

    def __init__(self, metrics: Iterable[Metric], slices: Iterable[str] = ()):
        self.metrics = tuple(metrics)
        self.slice_names = tuple(slices)
        self.rows = 0
        self.not_finite = {metric.name: 0 for metric in self.metrics}
        self._of_rows = [metric for metric in self.metrics if metric.average != "none"]
        self._of_sets = {metric.name for metric in self.metrics if metric.average == "none"}
        self._overall = _Sums(self._of_rows)
        self._slices: dict[str, dict[str, _Sums]] = {name: {} for name in self.slice_names}
        self._measures: list[SetMeasure] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row.

        A metric that does not apply is `None` or left out, NaN where its measurement failed.

        Raises:
            ValueError: a count is negative, or the row has none of the metrics.
        """
        values = {}
        for metric in self._of_rows:
            name = metric.name
            entry = row.get(name)
            mean, count = entry if isinstance(entry, tuple) else (entry, 1)
            if count < 0:
                raise ValueError(
                    "A metric's pair must be a mean and its number of measurements. "
                    f"Received: {entry} for {name!r}"
                )
            value = math.nan if mean is None else float(mean)
            values[name] = value, count
            # A mean of no measurements is ignored, whatever its value.
            if count and mean is not None and not math.isfinite(value):
                self.not_finite[name] += 1
        if not values.keys() & row.keys():
            raise ValueError(
                f"A row of `evaluate` must have at least one of its metrics: {', '.join(values)}. "
                f"Received: {', '.join(row)}"
            )
        self.rows += 1
        self._overall.add(values)
        for name, sums in self._slices.items():
            label = row.get(name)
            if label is not None:
                key = label.decode() if isinstance(label, bytes) else str(label)
                sums.setdefault(key, _Sums(self._of_rows)).add(values)

    def add_measure(self, measure: SetMeasure) -> None:
        """Adds a measure of a set.

        Raises:
            ValueError: it has a metric that is none of a set, or a slice that is not declared.
        """
        unknown = measure.values.keys() - self._of_sets
        if unknown or len(measure.slice) > 1 or measure.slice.keys() - set(self.slice_names):
            raise ValueError(
                "A SetMeasure must give metrics whose average is 'none' "
                f"({', '.join(sorted(self._of_sets)) or 'there are none'}), of the whole split or "
                f"of one slice ({', '.join(self.slice_names) or 'there are none'}). "
                f"Received: {dict(measure.values)} of {dict(measure.slice) or 'the whole split'}"
            )
        for name, value in measure.values.items():
            if value is not None and not math.isfinite(value):
                self.not_finite[name] += 1
        self._measures.append(measure)

    def overall(self) -> dict[str, float | None]:
        """Returns the values over all rows and of the whole set, `None` where there is none."""
        return self._in_order(self._overall.means() | self._of_set({}))

    def counts(self) -> dict[str, int]:
        """Returns by metric the number of rows with a value, or of examples in the set."""
        return self._in_order(self._overall.counts | self._set_counts({}), 0)

    def slices(self) -> list[dict[str, Any]]:
        """Returns a dict for every slice, in the order of its names and values.

        `slice` is its name and value, `count` the number of its rows (or of the examples in its
        set), `counts` the same for each metric, and `metrics` the values.
        """
        labels: dict[str, set[str]] = {name: set(self._slices[name]) for name in self.slice_names}
        for measure in self._measures:
            for name, value in measure.slice.items():
                labels[name].add(value)
        return [
            self._slice(name, value)
            for name in self.slice_names
            for value in sorted(labels[name], key=natural_key)
        ]

    def _slice(self, name: str, value: str) -> dict[str, Any]:
        sums = self._slices[name].get(value) or _Sums(self._of_rows)
        counts = self._set_counts({name: value})
        return {
            "slice": {name: value},
            "count": sums.rows or max(counts.values(), default=0),
            "counts": self._in_order(sums.counts | counts, 0),
            "metrics": self._in_order(sums.means() | self._of_set({name: value})),
        }

    def mean_over_slices(self) -> dict[str, Any] | None:
        """Returns the means of the first slice name's means, or `None` without slices.

        `standard_deviation` has the sample standard deviations of the slices' means, `None` for
        fewer than two slices.
        """
        if not self.slice_names or not self._slices[self.slice_names[0]]:
            return None
        name = self.slice_names[0]
        by_slice = [self._slice(name, value)["metrics"] for value in self._slices[name]]
        means: dict[str, float | None] = {}
        deviations: dict[str, float | None] = {}
        for metric in self.metrics:
            values = [row[metric.name] for row in by_slice if row[metric.name] is not None]
            means[metric.name] = math.fsum(values) / len(values) if values else None
            deviations[metric.name] = statistics.stdev(values) if len(values) > 1 else None
        return {"slice": name, "metrics": means, "standard_deviation": deviations}

    def measures(self) -> list[dict[str, Any]]:
        """Returns the measures of sets with their details, as JSON values."""
        return [
            {
                "slice": dict(measure.slice),
                "count": measure.count,
                "values": dict(measure.values),
                "details": dict(measure.details),
            }
            for measure in self._measures
        ]

    def _of_set(self, of: Mapping[str, str]) -> dict[str, float | None]:
        return {
            name: value if value is not None and math.isfinite(value) else None
            for measure in self._measures
            if measure.slice == of
            for name, value in measure.values.items()
        }

    def _set_counts(self, of: Mapping[str, str]) -> dict[str, int]:
        return {
            name: measure.count
            for measure in self._measures
            if measure.slice == of
            for name, value in measure.values.items()
            if value is not None and math.isfinite(value)
        }

    def _in_order(self, values: Mapping[str, Any], default: Any = None) -> dict[str, Any]:
        """Returns the values of all metrics in their order."""
        return {metric.name: values.get(metric.name, default) for metric in self.metrics}


class _Sums:
    """Sums and counts of finite values, with Neumaier's correction of rounding."""

    def __init__(self, metrics: Sequence[Metric]):
        self.rows = 0
        self.counts = {metric.name: 0 for metric in metrics}
        self._squared = {metric.name for metric in metrics if metric.average == "root_mean_square"}
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
