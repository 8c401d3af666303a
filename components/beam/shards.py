"""Sorted shards of examples and of dead letters. Imported inside `execute`: it imports Beam.

On Beam's Dask runner a consumer of one output of a DoFn receives the elements of all its outputs,
so each DoFn ignores elements of another type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from ..base.artifacts import Examples
from ..io import filesystem, tfrecord
from . import dead_letters, sorted_runs
from .pack_runs import PackRuns
from .progress import advance

DEAD_LETTERS = "dead_letters"
"""Tag of the side output of bad records."""

_PROGRESS_STEP = 1000
_RECORDS_BYTES = 4


class Routed(NamedTuple):
    """A serialized example on its way to a shard.

    Args:
        split: the split's name.
        shard: index of the shard.
        hashed: 1 if the key chose the split, 0 if the data prescribed it.
        key: what the shard is sorted by.
        payload: the serialized example.
        records: number of the source's records in the example.
    """

    split: str
    shard: int
    hashed: int
    key: bytes
    payload: bytes
    records: int = 1


class DeadLetter(NamedTuple):
    """A row of the dead letters.

    Args:
        key: what the rows are sorted by.
        row: the row.
    """

    key: bytes
    row: dict[str, Any]


def dead_letter(source: str, position: str, reason: str, **more: Any) -> TaggedOutput:
    """Returns a dead letter as the tagged output that a DoFn yields."""
    key = sorted_runs.natural_key(source) + b"\0" + sorted_runs.natural_key(position)
    row = {"source": source, "position": position, "reason": reason, **more}
    return TaggedOutput(DEAD_LETTERS, DeadLetter(key, row))


class WriteExamples(beam.PTransform):
    """Writes `Routed` examples as sorted shards.

    Gives `{"split", "shard", "count", "hashed", "records"}`.

    Args:
        uri: the artifact's folder.
        shards: number of shards of each split.
        immediately: whether the runner loses what is yielded at a bundle's end.
        token: of the progress.
    """

    def __init__(self, uri: str, shards: int, immediately: bool, token: str):
        super().__init__()
        self._uri = uri
        self._shards = shards
        self._immediately = immediately
        self._token = token

    def expand(self, examples: beam.PCollection) -> beam.PCollection:
        """Packs, shuffles and writes."""
        runs = filesystem.join(self._uri, sorted_runs.RUNS)
        return (
            examples
            | "Pack" >> beam.ParDo(_PackExamples(runs, self._immediately, self._token))
            | "GroupByShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.Map(_write_runs, self._uri, self._shards)
        )


class WriteDeadLetters(beam.PTransform):
    """Writes `DeadLetter`s as sorted JSON lines; gives `{"dead_letters": count}` if there are any.

    Args:
        examples: the artifact they belong to.
        immediately: whether the runner loses what is yielded at a bundle's end.
    """

    def __init__(self, examples: Examples, immediately: bool):
        super().__init__()
        self._path = dead_letters.path(examples)
        self._folder = examples.path(sorted_runs.RUNS)
        self._immediately = immediately

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """Packs, gathers and writes."""
        return (
            rows
            | "Pack" >> beam.ParDo(_PackDeadLetters(self._folder, self._immediately))
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write_lines, self._path)
        )


class _PackExamples(PackRuns):
    """Gives `((split, shard), run)`."""

    def __init__(self, folder: str, immediately: bool, token: str):
        super().__init__(folder, immediately)
        self._token = token
        self._unreported = 0

    def process(self, element: Any) -> Iterator[Any]:
        if not isinstance(element, Routed):
            return
        # The first byte of the key is `hashed`, the last ones are `records`, for the writer.
        flag = b"01"[element.hashed : element.hashed + 1]
        key = flag + element.key + element.records.to_bytes(_RECORDS_BYTES, "big")
        yield from self.add((element.split, element.shard), key, element.payload)
        self._unreported += 1
        if self._unreported >= _PROGRESS_STEP:
            advance(self._token, self._unreported)
            self._unreported = 0


class _PackDeadLetters(PackRuns):
    """Gives `("", run)` of JSON lines."""

    def process(self, element: Any) -> Iterator[Any]:
        if isinstance(element, DeadLetter):
            line = json.dumps(element.row, ensure_ascii=False, sort_keys=True)
            yield from self.add("", element.key, line.encode("utf-8", "replace"))


class _Payloads:
    """Yields the payloads of pairs and adds up the numbers in their keys.

    Attributes:
        hashed: number of examples whose split was chosen by the key.
        records: number of the source's records.
    """

    def __init__(self, pairs: Iterable[sorted_runs.Pair]):
        self.hashed = self.records = 0
        self._pairs = pairs

    def __iter__(self) -> Iterator[bytes]:
        for key, payload in self._pairs:
            self.hashed += key[:1] == b"1"
            self.records += int.from_bytes(key[-_RECORDS_BYTES:], "big")
            yield payload


def _write_runs(
    element: tuple[tuple[str, int], Iterable[sorted_runs.Run]], uri: str, shards: int
) -> dict[str, Any]:
    (split, shard), runs = element
    payloads = _Payloads(sorted_runs.merge(runs))
    count = write_shard(uri, split, shard, shards, payloads)
    Metrics.counter("methodical", "examples").inc(count)
    return {
        "split": split,
        "shard": shard,
        "count": count,
        "hashed": payloads.hashed,
        "records": payloads.records,
    }


def _write_lines(element: tuple[str, Iterable[sorted_runs.Run]], path: str) -> dict[str, Any]:
    count = 0
    with filesystem.open_file(path, "wb") as writer:
        for _, line in sorted_runs.merge(element[1]):
            writer.write(line + b"\n")
            count += 1
    Metrics.counter("methodical", "bad_records").inc(count)
    return {"dead_letters": count}


def write_shard(uri: str, split: str, shard: int, shards: int, examples: Iterable[bytes]) -> int:
    """Writes one shard of a split of an `Examples` artifact; returns the number of examples."""
    folder = filesystem.join(uri, f"Split-{split}")
    filesystem.make_dirs(folder)
    name = f"examples-{shard:05d}-of-{shards:05d}.gz"
    return tfrecord.write_records(filesystem.join(folder, name), examples)
