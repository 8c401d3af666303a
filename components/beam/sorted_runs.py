"""Sorted, compressed runs of records: what the data stages pass to Beam's shuffle.

Beam's local runner keeps what it shuffles in memory, and its cost is per element. So records travel
as few fat elements: a run is a sorted list of `(key, payload)` pairs, compressed, and a large run
lies in a file of which only the path travels. A shard is the merge of its runs, so that its order
depends on the records alone and not on how the work was cut, and it is merged as a stream, so that
neither the data nor a shard need fit into memory.
"""

from __future__ import annotations

import heapq
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator

from ..base import natural_sort
from ..io import filesystem

RUNS = ".runs"
"""Folder of large runs in an output's folder; to be removed after the pipeline."""

Pair = tuple[bytes, bytes]
"""A sort key and what it sorts."""

Run = tuple[int, bytes | str]
"""The size of the pairs before compression, and the compressed pairs, sorted, or their file."""

_FRAME = struct.Struct("<II")
_BLOCK = 1 << 16
_READ = 1 << 18
_SPILLED = 1 << 20
_SMALL = 1 << 18
_COALESCED = 1 << 23


def pack(pairs: Iterable[Pair]) -> Run:
    """Sorts and compresses pairs."""
    parts = []
    size = 0
    for key, payload in sorted(pairs):
        parts.append(_FRAME.pack(len(key), len(payload)))
        parts.append(key)
        parts.append(payload)
        size += len(key) + len(payload)
    return size, zlib.compress(b"".join(parts), 1)


def spill(run: Run, folder: str) -> Run:
    """Moves a large run into a new file of a folder; a small one stays in memory."""
    size, blob = run
    if len(blob) < _SPILLED or isinstance(blob, str):
        return run
    filesystem.make_dirs(folder)
    path = filesystem.join(folder, uuid.uuid4().hex)
    with filesystem.open_file(path, "wb") as writer:
        writer.write(blob)
    return size, path


def unpack(run: Run) -> Iterator[Pair]:
    """Yields a run's pairs in order, decompressing as they are asked for."""
    decompressor = zlib.decompressobj()
    blocks = _blocks(run[1])
    waiting = b""
    data = b""
    start = 0
    while True:
        while len(data) - start < _needed(data, start):
            if decompressor.eof:
                return
            waiting = waiting or next(blocks, b"")
            missing = max(_BLOCK, _needed(data, start) - (len(data) - start))
            data = data[start:] + decompressor.decompress(waiting, missing)
            waiting = decompressor.unconsumed_tail
            start = 0
        key_length, payload_length = _FRAME.unpack_from(data, start)
        middle = start + _FRAME.size + key_length
        end = middle + payload_length
        yield data[start + _FRAME.size : middle], data[middle:end]
        start = end


def merge(runs: Iterable[Run]) -> Iterator[Pair]:
    """Yields the pairs of all runs in order."""
    yield from heapq.merge(*(unpack(run) for run in _coalesce(runs)))


def natural_key(text: str) -> bytes:
    """Returns the natural sort key of a text as bytes: `line 9` before `line 10`."""
    return natural_sort.natural_key(text).encode("utf-8", "replace")


def _needed(data: bytes, start: int) -> int:
    if len(data) - start < _FRAME.size:
        return _FRAME.size
    key_length, payload_length = _FRAME.unpack_from(data, start)
    return _FRAME.size + key_length + payload_length


def _blocks(blob: bytes | str) -> Iterator[bytes]:
    if isinstance(blob, bytes):
        yield blob
        return
    start = 0
    while True:
        # Reopened for each block, because a merge may have more runs than a process may open files.
        with filesystem.open_file(blob, "rb") as reader:
            reader.seek(start)
            block = reader.read(_READ)
        if not block:
            return
        yield block
        start += len(block)


def _coalesce(runs: Iterable[Run]) -> list[Run]:
    """Joins small runs, each of which would otherwise cost the merge a decompressor."""
    large: list[Run] = []
    small: list[Pair] = []
    size = 0
    for run in runs:
        if run[0] >= _SMALL:
            large.append(run)
            continue
        small.extend(unpack(run))
        size += run[0]
        if size >= _COALESCED:
            large.append(pack(small))
            small, size = [], 0
    if small:
        large.append(pack(small))
    return large
