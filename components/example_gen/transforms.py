"""The Beam side of ExampleGen."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam

from ..beam import sorted_runs
from ..beam.shards import Routed, dead_letter
from ..io import example_proto
from ..io.records import BadRecord, BadRecordError, Record

_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-]+")


class SplitByKey:
    """Chooses split and shard by a hash of the key, the same in every process and run.

    Args:
        splits: weights by split name.
        shards: number of shards of each split.
    """

    def __init__(self, splits: Mapping[str, int], shards: int):
        self._names = list(splits)
        self._bounds = list(itertools.accumulate(splits.values()))
        self._shards = shards

    def __call__(self, key: str) -> tuple[str, int, bytes]:
        """Returns split, shard and the key's digest."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        # Split, shard and order in the shard come from different bytes: they are independent.
        bucket = int.from_bytes(digest[:8], "big") % self._bounds[-1]
        shard = int.from_bytes(digest[8:16], "big") % self._shards
        return self._names[bisect.bisect_right(self._bounds, bucket)], shard, digest[16:]


class EncodeRecord(beam.DoFn):
    """Turns `Record`s into `Routed` examples, and what cannot be used into dead letters.

    Args:
        splits: weights by split name.
        shards: number of shards of each split.
    """

    def __init__(self, splits: Mapping[str, int], shards: int):
        super().__init__()
        self._choose = SplitByKey(splits, shards)

    def process(self, record: Any) -> Iterator[Any]:
        """Encodes one record."""
        if isinstance(record, BadRecord):
            yield dead_letter(record.source, record.position, record.reason)
            return
        if not isinstance(record, Record):
            raise TypeError(
                f"A source must yield Record or BadRecord. Received: {type(record).__name__}"
            )
        try:
            if record.split and not _SPLIT_NAME.fullmatch(record.split):
                raise BadRecordError(
                    "A split's name must consist of letters, digits, - and _. "
                    f"Received: {record.split!r}"
                )
            payload = example_proto.encode(record.features)
        except BadRecordError as error:
            yield dead_letter(record.source, record.position, str(error))
            return
        split, shard, digest = self._choose(record.key)
        place = sorted_runs.natural_key(record.source) + sorted_runs.natural_key(record.position)
        hashed = int(not record.split)
        yield Routed(record.split or split, shard, hashed, digest + place, payload, record.records)
