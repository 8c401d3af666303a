"""Sorted shards of examples and of dead letters. Imported inside `execute`: it imports Beam.

Two habits of Beam's Dask runner shape this module: a consumer of one output of a DoFn receives the
elements of all its outputs, so each DoFn ignores elements of another type; and what is yielded in
`finish_bundle` is lost, so `PackRuns` can pack each element `immediately`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from ..base.artifacts import Examples
from ..io import filesystem, tfrecord
from . import dead_letters, sorted_runs
from .progress import advance

DEAD_LETTERS = "dead_letters"
"""Tag of the side output of bad records."""

RUNS = ".runs"
"""Folder of large runs in the output's folder; to be removed after the pipeline."""

_PACKED_BYTES = 1 << 25
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
        records: how many of the source's records it is made of.
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
    """Returns a dead letter as what a DoFn yields for it."""
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
        return (
            examples
            | "Pack"
            >> beam.ParDo(
                _PackExamples(filesystem.join(self._uri, RUNS), self._immediately, self._token)
            )
            | "GroupByShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.ParDo(_WriteShard(self._uri, self._shards))
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
        self._folder = examples.path(RUNS)
        self._immediately = immediately

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """Packs, gathers and writes."""
        return (
            rows
            | "Pack" >> beam.ParDo(_PackDeadLetters(self._folder, self._immediately))
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(_WriteDeadLetters(self._path))
        )


class _Pack(beam.DoFn):
    """Collects pairs by shard and yields them as runs, before they become large."""

    def __init__(self, folder: str, immediately: bool):
        super().__init__()
        self._folder = folder
        self._immediately = immediately
        self._pairs: dict[Any, list[sorted_runs.Pair]] = {}
        self._size = 0

    def start_bundle(self) -> None:
        self._pairs = defaultdict(list)
        self._size = 0

    def _add(self, shard: Any, key: bytes, payload: bytes) -> Iterator[Any]:
        self._pairs[shard].append((key, payload))
        self._size += len(key) + len(payload)
        if self._immediately or self._size >= _PACKED_BYTES:
            yield from self._packed()

    def finish_bundle(self) -> Iterator[Any]:
        for run in self._packed():
            yield GlobalWindows.windowed_value(run)

    def _packed(self) -> Iterator[Any]:
        for shard, pairs in sorted(self._pairs.items()):
            yield shard, sorted_runs.spill(sorted_runs.pack(pairs), self._folder)
        self._pairs.clear()
        self._size = 0


class _PackExamples(_Pack):
    """Gives `((split, shard), run)`."""

    def __init__(self, folder: str, immediately: bool, token: str):
        super().__init__(folder, immediately)
        self._token = token
        self._unreported = 0

    def process(self, element: Any) -> Iterator[Any]:
        if not isinstance(element, Routed):
            return
        # The first byte tells the writer how the split was chosen, the last ones the records.
        flag = b"01"[element.hashed : element.hashed + 1]
        key = flag + element.key + element.records.to_bytes(_RECORDS_BYTES, "big")
        yield from self._add((element.split, element.shard), key, element.payload)
        self._unreported += 1
        if self._unreported >= _PROGRESS_STEP:
            advance(self._token, self._unreported)
            self._unreported = 0


class _PackDeadLetters(_Pack):
    """Gives `("", run)` of JSON lines."""

    def process(self, element: Any) -> Iterator[Any]:
        if isinstance(element, DeadLetter):
            line = json.dumps(element.row, ensure_ascii=False, sort_keys=True)
            yield from self._add("", element.key, line.encode("utf-8", "replace"))


class _WriteShard(beam.DoFn):
    def __init__(self, uri: str, shards: int):
        super().__init__()
        self._uri = uri
        self._shards = shards

    def process(
        self, element: tuple[tuple[str, int], Iterable[sorted_runs.Run]]
    ) -> Iterator[dict[str, Any]]:
        (split, shard), runs = element
        hashed = records = 0

        def payloads() -> Iterator[bytes]:
            nonlocal hashed, records
            for key, payload in sorted_runs.merge(runs):
                hashed += key[:1] == b"1"
                records += int.from_bytes(key[-_RECORDS_BYTES:], "big")
                yield payload

        count = write_shard(self._uri, split, shard, self._shards, payloads())
        Metrics.counter("methodical", "examples").inc(count)
        yield {
            "split": split,
            "shard": shard,
            "count": count,
            "hashed": hashed,
            "records": records,
        }


class _WriteDeadLetters(beam.DoFn):
    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def process(self, element: tuple[str, Iterable[sorted_runs.Run]]) -> Iterator[dict[str, Any]]:
        count = 0
        with filesystem.open_file(self._path, "wb") as writer:
            for _, line in sorted_runs.merge(element[1]):
                writer.write(line + b"\n")
                count += 1
        Metrics.counter("methodical", "bad_records").inc(count)
        yield {"dead_letters": count}


def write_shard(uri: str, split: str, shard: int, shards: int, examples: Iterable[bytes]) -> int:
    """Writes one shard of a split of an `Examples` artifact; returns the number of examples."""
    folder = filesystem.join(uri, f"Split-{split}")
    filesystem.make_dirs(folder)
    name = f"examples-{shard:05d}-of-{shards:05d}.gz"
    return tfrecord.write_records(filesystem.join(folder, name), examples)
