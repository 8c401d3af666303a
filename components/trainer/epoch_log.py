"""The logs of a fit's epochs, as files that grow while it trains."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

from ..io import filesystem


class EpochLog:
    """`epochs.csv` and `epochs.jsonl`, one line per epoch, written at its end.

    Both have `epoch` (from 1) and the values that Keras logs; JSON lines also have `seconds`. A
    value that is not finite is empty in CSV and `null` in JSON.

    Args:
        folder: where the files go; earlier ones are replaced.
        rows: the epochs that are done already.
    """

    def __init__(self, folder: str, rows: list[dict[str, Any]]):
        filesystem.make_dirs(folder)
        self._csv = filesystem.open_file(filesystem.join(folder, "epochs.csv"), "w")
        self._json = filesystem.open_file(filesystem.join(folder, "epochs.jsonl"), "w")
        self._columns: list[str] = []
        for row in rows:
            self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        """Adds an epoch."""
        values = {
            name: value if math.isfinite(value) else None for name, value in row["logs"].items()
        }
        writer = csv.writer(self._csv, lineterminator="\n")
        if not self._columns:
            self._columns = list(values)
            writer.writerow(["epoch", *self._columns])
        writer.writerow([row["epoch"], *(values.get(name) for name in self._columns)])
        line = {"epoch": row["epoch"], "seconds": row["seconds"], **values}
        self._json.write(json.dumps(line) + "\n")
        self._csv.flush()
        self._json.flush()

    def close(self) -> None:
        """Closes both files."""
        self._csv.close()
        self._json.close()
