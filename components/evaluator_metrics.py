"""Means of metrics over rows as they come, overall and by slice."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any


class SlicedMeans:
    """Adds up rows in memory that grows with the number of slices only.

    Args:
        metrics: names of the rows' numbers.
        slices: names in the rows by whose values the means are sliced.

    ```python
    means = SlicedMeans(["accuracy"], ["task"])
    means.add({"accuracy": 1, "task": "1"})
    means.add({"accuracy": 0, "task": "1"})
    means.add({"accuracy": 1, "task": "2"})
    means.overall()           # {"accuracy": 0.6667}
    means.mean_over_slices()  # {"slice": "task", "metrics": {"accuracy": 0.75}}
    ```
    """

    def __init__(self, metrics: Iterable[str], slices: Iterable[str] = ()):
        self.metrics = tuple(metrics)
        self.slice_names = tuple(slices)
        self.examples = 0
        self.missing = dict.fromkeys(self.metrics, 0)
        self._overall = _Sums(self.metrics)
        self._slices: dict[str, dict[str, _Sums]] = {name: {} for name in self.slice_names}

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds one example.

        Raises:
            KeyError: a metric or slice is not in the row.
        """
        for name in (*self.metrics, *self.slice_names):
            if name not in row:
                raise KeyError(
                    f"Every row of `evaluate` must have {name!r}; `None` where it does not apply. "
                    f"Received: {', '.join(row)}"
                )
        values = {}
        for name in self.metrics:
            value = row[name]
            value = math.nan if value is None else float(value)
            values[name] = value
            if not math.isfinite(value):
                self.missing[name] += 1
        self.examples += 1
        self._overall.add(values)
        for name, sums in self._slices.items():
            if row[name] is not None:
                key = row[name].decode() if isinstance(row[name], bytes) else str(row[name])
                sums.setdefault(key, _Sums(self.metrics)).add(values)

    def overall(self) -> dict[str, float | None]:
        """Returns the means over all examples; `None` where no row has a value."""
        return self._overall.means()

    def slices(self) -> list[dict[str, Any]]:
        """Returns `{"slice": {name: value}, "count": …, "metrics": …}` for every slice."""
        return [
            {"slice": {name: value}, "count": sums.count, "metrics": sums.means()}
            for name in self.slice_names
            for value, sums in sorted(self._slices[name].items(), key=lambda item: natural(item[0]))
        ]

    def mean_over_slices(self) -> dict[str, Any] | None:
        """Returns the means of the first slice name's means, or `None` without slices."""
        if not self.slice_names or not self._slices[self.slice_names[0]]:
            return None
        name = self.slice_names[0]
        every = [sums.means() for sums in self._slices[name].values()]
        means: dict[str, float | None] = {}
        for metric in self.metrics:
            values = [found[metric] for found in every if found[metric] is not None]
            means[metric] = math.fsum(values) / len(values) if values else None
        return {"slice": name, "metrics": means}


class _Sums:
    """Sums and counts of finite values, with Neumaier's correction of rounding."""

    def __init__(self, metrics: Iterable[str]):
        self.count = 0
        self._sums = {name: [0.0, 0.0, 0] for name in metrics}

    def add(self, values: Mapping[str, float]) -> None:
        self.count += 1
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            entry = self._sums[name]
            total = entry[0] + value
            if abs(entry[0]) >= abs(value):
                entry[1] += (entry[0] - total) + value
            else:
                entry[1] += (value - total) + entry[0]
            entry[0] = total
            entry[2] += 1

    def means(self) -> dict[str, float | None]:
        return {
            name: (total + correction) / count if count else None
            for name, (total, correction, count) in self._sums.items()
        }


def natural(text: str) -> list[tuple[int, int, str]]:
    """Returns a sort key by which `task 2` comes before `task 10`."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]
