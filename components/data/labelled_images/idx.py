"""Reads the IDX files in which MNIST, Fashion-MNIST and EMNIST are published.

An IDX file is: two zero bytes, a byte for the type (8: unsigned bytes), a byte for the number of
dimensions, each dimension as a big-endian 32-bit number, and the values. The files may be gzipped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from typing import IO, cast

import numpy as np

from ...base.errors import BadDataError
from ...io import filesystem

_NAME = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?$"
)
_UNSIGNED_BYTE = 8
_IMAGES_PER_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class IdxPair:
    """The file of images and the file of labels of one split, `train` or `test`."""

    images: str
    labels: str
    split: str


def find_pairs(folder: str) -> list[IdxPair]:
    """Lists the pairs of files in a folder: `train-images-idx3-ubyte.gz` and so on.

    Returns:
        One or two `IdxPair`s, `train` first.

    Raises:
        BadDataError: the folder does not exist, holds no training files, more than one set of
            files, or images without labels.
    """
    file_sets: dict[str, dict[tuple[str, str], str]] = {}
    for name in filesystem.list_dir(folder):
        if match := _NAME.fullmatch(name):
            split = "train" if match["split"] == "train" else "test"
            file_sets.setdefault(match["set"], {}).setdefault((split, match["kind"]), name)
    expected = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and those of t10k"
    if len(file_sets) != 1:
        names = ", ".join(sorted(name for files in file_sets.values() for name in files.values()))
        raise BadDataError(
            f"--data-dir must be a folder with the IDX files of one data set: {expected}. "
            f"Received: {folder} with {names or 'no such file'}"
        )
    (files,) = file_sets.values()
    pairs = []
    for split in ("train", "test"):
        images, labels = files.get((split, "images")), files.get((split, "labels"))
        if (images is None or labels is None) and (split == "train" or images or labels):
            raise BadDataError(
                f"The {split} split needs a file of images and one of labels: {expected}. "
                f"Received: {folder} with {', '.join(sorted(files.values()))}"
            )
        if images and labels:
            pairs.append(
                IdxPair(filesystem.join(folder, images), filesystem.join(folder, labels), split)
            )
    return pairs


def read_pair(pair: IdxPair, limit: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields blocks of images `(N, H, W)` uint8 and labels `(N,)` uint8, in file order.

    Args:
        pair: the files.
        limit: integer. The largest number of images, 0 for all.

    Raises:
        BadDataError: a file is no IDX file of its kind, is truncated or too long, or the files
            have different counts.
    """
    with _open(pair.images) as images, _open(pair.labels) as labels:
        count, height, width = _header(images, pair.images, 3)
        (label_count,) = _header(labels, pair.labels, 1)
        if count != label_count:
            raise BadDataError(
                f"The files of a split must have as many labels as images. "
                f"Received: {count} images in {pair.images}, {label_count} labels in {pair.labels}"
            )
        if not (count and height and width):
            raise BadDataError(
                f"A file must hold images. Received: {count} images of {height} × {width} pixels "
                f"in {pair.images}"
            )
        total = min(count, limit) if limit else count
        for first in range(0, total, _IMAGES_PER_BLOCK):
            size = min(_IMAGES_PER_BLOCK, total - first)
            pixels = _values(images, pair.images, first, (size, height, width), count)
            yield pixels, _values(labels, pair.labels, first, (size,), count)
        if total == count:
            _check_end(images, pair.images, count)
            _check_end(labels, pair.labels, count)


@contextlib.contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    with filesystem.open_file(path, "rb") as raw:
        if not path.endswith(".gz"):
            yield raw
            return
        with gzip.GzipFile(fileobj=raw, mode="rb") as reader:
            yield cast(IO[bytes], reader)


def _header(reader: IO[bytes], path: str, dimensions: int) -> tuple[int, ...]:
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    magic = _read(reader, path, 4)
    if magic != expected:
        raise BadDataError(
            f"An IDX file of unsigned bytes with {dimensions} dimension(s) must begin with "
            f"{expected.hex(' ')}. Received: {magic.hex(' ') or 'nothing'} in {path}"
        )
    sizes = _read(reader, path, 4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise BadDataError(
            f"The header of an IDX file must name {dimensions} dimension(s). Received: {path}, "
            f"which ends after {4 + len(sizes)} bytes"
        )
    return struct.unpack(f">{dimensions}I", sizes)


def _values(
    reader: IO[bytes], path: str, first: int, shape: tuple[int, ...], count: int
) -> np.ndarray:
    size = math.prod(shape)
    values = _read(reader, path, size)
    if len(values) < size:
        complete = first + len(values) * shape[0] // size
        raise BadDataError(
            f"{path} must hold {count} entries, as its header says. Received: a truncated file "
            f"that ends in entry {complete}"
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def _check_end(reader: IO[bytes], path: str, count: int) -> None:
    try:
        more = reader.read(1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadDataError(
            f"A file named .gz must be whole and unaltered. Received: {path}: {error}"
        ) from error
    if more:
        raise BadDataError(
            f"An IDX file must end behind its values. Received: {path}, which goes on behind the "
            f"{count} entries that its header names"
        )


def _read(reader: IO[bytes], path: str, size: int) -> bytes:
    """Reads up to `size` bytes; a gzip stream that breaks off gives what came before."""
    parts = []
    try:
        while size and (part := reader.read(min(size, 1 << 16))):
            parts.append(part)
            size -= len(part)
    except EOFError:
        pass
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadDataError(
            f"A file named .gz must be whole and gzipped. Received: {path}: {error}"
        ) from error
    return b"".join(parts)
