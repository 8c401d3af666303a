"""Reads the files of a folder or of a .zip archive by their names in it."""

from __future__ import annotations

import zipfile
import zlib

from ...io import filesystem

MOST_BYTES = 1 << 26
"""Larger files are refused."""

UNREADABLE = (OSError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile)
"""What `FileReader.read` raises for a file that cannot be read."""


def is_archive(data: str) -> bool:
    """Whether files are read out of a .zip archive."""
    return data.lower().endswith(".zip")


class FileReader:
    """Reads files of a folder or of an archive, which is opened once.

    Args:
        data: folder or .zip file.
    """

    def __init__(self, data: str):
        self._data = data
        self._archive: zipfile.ZipFile | None = None

    def read(self, name: str) -> bytes:
        """Returns a file's bytes.

        Raises:
            ValueError: it has more than `MOST_BYTES`.
            Exception: one of `UNREADABLE`, where it cannot be read.
        """
        if is_archive(self._data):
            if self._archive is None:
                # Its list of files is long: read it once, not once per element.
                self._opened = filesystem.open_file(self._data, "rb")
                self._archive = zipfile.ZipFile(self._opened)
            _check_size(self._archive.getinfo(name).file_size)
            return self._archive.read(name)
        path = filesystem.join(self._data, name)
        _check_size(filesystem.size(path))
        with filesystem.open_file(path, "rb") as reader:
            return reader.read()

    def close(self) -> None:
        """Closes the archive; it is opened again where more is read."""
        if self._archive is not None:
            self._archive.close()
            self._opened.close()  # an archive closes only files that it opened itself
            self._archive = None


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"the file has {size:,} bytes, more than {MOST_BYTES:,}")
