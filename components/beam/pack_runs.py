"""Packs sorted runs in Beam. Imported inside `execute`: it imports Beam."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from . import sorted_runs

_PACKED_BYTES = 1 << 25


class PackRuns(beam.DoFn):
    """Collects pairs by shard and gives `(shard, run)`, before they become large.

    `process` of a subclass hands what it gets to `add`.

    Args:
        folder: for large runs.
        immediately: whether the runner loses what is yielded at a bundle's end, as Beam's Dask
            runner does; then each element is a run.
    """

    def __init__(self, folder: str, immediately: bool):
        super().__init__()
        self._folder = folder
        self._immediately = immediately
        self._pairs: dict[Any, list[sorted_runs.Pair]] = {}
        self._size = 0

    def start_bundle(self) -> None:
        """Begins with nothing."""
        self._pairs = defaultdict(list)
        self._size = 0

    def add(self, shard: Any, key: bytes, payload: bytes) -> Iterator[Any]:
        """Adds a pair; yields what is packed."""
        self._pairs[shard].append((key, payload))
        self._size += len(key) + len(payload)
        if self._immediately or self._size >= _PACKED_BYTES:
            yield from self._packed()

    def finish_bundle(self) -> Iterator[Any]:
        """Yields the rest."""
        for run in self._packed():
            yield GlobalWindows.windowed_value(run)

    def _packed(self) -> Iterator[Any]:
        for shard, pairs in sorted(self._pairs.items()):
            yield shard, sorted_runs.spill(sorted_runs.pack(pairs), self._folder)
        self.start_bundle()
