"""The results of a Beam pipeline, as rows that its last step writes to one file.

Every runner can return rows this way, even one without metrics. Imported inside `execute`, because
it imports Beam.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam

from ..io import filesystem


class WriteOutcomes(beam.PTransform):
    """Writes all rows (dicts of JSON values) as one sorted JSON list, `[]` if there are none."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """Gathers and writes."""
        nothing = rows.pipeline | "Nothing" >> beam.Create([("", None)])
        keyed = rows | "Key" >> beam.Map(lambda row: ("", row))
        return (
            (nothing, keyed)
            | "Flatten" >> beam.Flatten()
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, self._path)
        )


def _write(element: tuple[str, Iterable[Mapping[str, Any] | None]], path: str) -> None:
    rows = [row for row in element[1] if row is not None]
    rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    with filesystem.open_file(path, "w") as writer:
        json.dump(rows, writer)
