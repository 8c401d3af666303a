"""Gzipped TFRecord files, read and written as streams in Beam workers.

The frame of a record is: length (uint64), masked CRC-32C of the length (uint32), the bytes, masked
CRC-32C of the bytes (uint32), all little-endian. Beam's own TFRecord sink cannot keep the order of
records within a shard, and TensorFlow's would bring TensorFlow into each worker.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterable, Iterator

from . import filesystem

_MASK_DELTA = 0xA282EAD8
_BUFFER = 1 << 18
_COMPRESSION_LEVEL = 4


def write_records(path: str, records: Iterable[bytes]) -> int:
    """Writes records into one gzipped TFRecord file.

    The same records always give the same file: no time and no name is stored.

    Returns:
        The number of records.
    """
    import google_crc32c

    checksum = google_crc32c.value
    count = 0
    with (
        filesystem.open_file(path, "wb") as raw,
        gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, raw, mtime=0) as writer,
    ):
        waiting = bytearray()
        for record in records:
            length = struct.pack("<Q", len(record))
            waiting += length
            waiting += struct.pack("<I", _masked(checksum(length)))
            waiting += record
            waiting += struct.pack("<I", _masked(checksum(record)))
            count += 1
            if len(waiting) >= _BUFFER:
                writer.write(waiting)
                waiting = bytearray()
        writer.write(waiting)
    return count


def read_records(path: str) -> Iterator[bytes]:
    """Yields the records of a gzipped TFRecord file.

    Raises:
        ValueError: the file is truncated or altered.
    """
    import google_crc32c

    checksum = google_crc32c.value
    index = 0
    try:
        with (
            filesystem.open_file(path, "rb") as raw,
            io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), _BUFFER) as reader,
        ):
            while head := reader.read(12):
                length, length_checksum = struct.unpack("<QI", head)
                if _masked(checksum(head[:8])) != length_checksum:
                    raise ValueError("the checksum of its length is wrong")
                record = reader.read(length)
                (record_checksum,) = struct.unpack("<I", reader.read(4))
                if _masked(checksum(record)) != record_checksum:
                    raise ValueError("its checksum is wrong")
                yield record
                index += 1
    except (ValueError, EOFError, struct.error, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"A TFRecord file must be whole and unaltered. "
            f"Received: {path}, record {index}: {error}"
        ) from error


def _masked(checksum: int) -> int:
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
