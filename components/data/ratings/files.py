"""Finds text files in a folder or an archive and reads their rows as a stream; nothing is unpacked.

Archives are `.zip`, `.tar`, `.tar.gz`, `.tgz` and `.tar.xz`; single files may be gzipped.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, cast

from ...base.errors import BadDataError
from ...io import filesystem

_TAR = (".tar.xz", ".tar.gz", ".tgz", ".tar")
_MOST_BYTES = 1 << 16
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
)


def is_archive(data: str) -> bool:
    """Whether a path names an archive of several files."""
    return data.lower().endswith((*_TAR, ".zip"))


def list_files(data: str) -> list[str]:
    """Returns the names of the files in a folder or an archive, with `/`; of a file its own name.

    Raises:
        BadDataError: the path does not exist, or the archive cannot be read or holds a path that
            climbs out of its folder.
    """
    if not filesystem.exists(data):
        raise BadDataError(
            f"Ratings must be in a file, a folder or an archive. Received: --data-dir {data}, "
            f"which does not exist"
        )
    if not is_archive(data):
        return list(filesystem.walk(data)) or [_itself(data)]
    with readable(data), filesystem.open_file(data, "rb") as opened:
        if data.lower().endswith(".zip"):
            with zipfile.ZipFile(opened) as zipped:
                names = [entry.filename for entry in zipped.infolist() if not entry.is_dir()]
        else:
            with tarfile.open(fileobj=opened, mode="r:*") as archive:
                names = [member.name for member in archive if member.isfile()]
    for name in names:
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise BadDataError(
                f"An archive must not hold a path that climbs out of its folder. "
                f"Received: {name!r} in {data}"
            )
    return names


def open_files(data: str, names: Sequence[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yields some files of `list_files` with their names, each open until the next is asked for.

    Whoever reads the files does so in `readable(data)`.

    Raises:
        BadDataError: the archive is broken.
    """
    with readable(data):
        if not is_archive(data):
            for name in names:
                path = filesystem.join(data, *name.split("/")) if name else data
                with filesystem.open_file(path, "rb") as opened:
                    yield name or filesystem.base_name(data), _unzipped(path, opened)
            return
        with filesystem.open_file(data, "rb") as opened:
            if data.lower().endswith(".zip"):
                with zipfile.ZipFile(opened) as zipped:
                    for name in names:
                        with zipped.open(name) as reader:
                            yield name, _unzipped(name, reader)
                return
            remaining = set(names)
            # One pass: a compressed archive cannot jump to a file.
            with tarfile.open(fileobj=opened, mode="r:*") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is not None and member.name in remaining:
                        remaining.remove(member.name)
                        yield member.name, _unzipped(member.name, content)
                    if not remaining:
                        return


def read_rows(reader: IO[bytes], delimiter: str) -> Iterator[tuple[int, Sequence[str] | csv.Error]]:
    """Yields the fields of each row of a text file with the number of its first line.

    Bytes that are not UTF-8 become lone surrogates. Rows without any text are skipped. A row
    that is not valid CSV is yielded as an error, once for each of its lines.

    Args:
        reader: a binary file.
        delimiter: string. A character; values may be quoted unless it is a tab. Or `::`.
    """
    with io.TextIOWrapper(
        reader, encoding="utf-8-sig", errors="surrogateescape", newline=""
    ) as text:
        lines: Iterable[str] = text
        if delimiter == "::":
            lines = (line.replace("\t", " ").replace("::", "\t") for line in text)
            delimiter = "\t"
        rows = csv.reader(
            lines,
            delimiter=delimiter,
            quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
        )
        last_line = 0
        while True:
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                for number in range(last_line + 1, rows.line_num + 1):
                    yield number, error
            else:
                if fields:
                    yield last_line + 1, fields
            last_line = rows.line_num


def with_delimiter(reader: IO[bytes]) -> tuple[IO[bytes], str]:
    """Returns a reader of the same bytes, and the delimiter of its first line."""
    buffered = io.BufferedReader(cast(io.RawIOBase, reader), _MOST_BYTES)
    line = buffered.peek(_MOST_BYTES).partition(b"\n")[0].decode("utf-8", "replace")
    return buffered, next((text for text in ("::", "\t", ";", "|") if text in line), ",")


def _itself(data: str) -> str:
    try:
        filesystem.open_file(data, "rb").close()
    except OSError as error:
        raise BadDataError(
            f"Ratings must be in a file, a folder or an archive. Received: --data-dir {data}, "
            f"in which there is nothing"
        ) from error
    return ""


def _unzipped(name: str, reader: IO[bytes]) -> IO[bytes]:
    if name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=reader))
    return reader


@contextlib.contextmanager
def readable(data: str) -> Iterator[None]:
    """Turns what reading a broken archive raises into a `BadDataError`."""
    try:
        yield
    except _BROKEN as error:
        raise BadDataError(
            f"An archive or compressed file must be whole. Received: {data}: {error}"
        ) from error
