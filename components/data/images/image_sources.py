"""Reads image files in Beam, for all kinds of data with images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam

from ...io import filesystem
from ...io.records import BadRecord, Record
from ..reading.file_reader import UNREADABLE, FileReader
from .image_files import not_an_image


class ReadImageFiles(beam.PTransform):
    """Reads image files as `Record`s and `BadRecord`s.

    Args:
        data: folder or .zip file.
        files: what has a `path` in it, and `BadRecord`s, which go through.
        per_element: files that one Beam element reads: few fat elements cost less than many small
            ones.
        problem: `problem(image)` returns why the bytes of a file cannot be used, or `None`.
        to_record: `to_record(image, file, source, *side_inputs)` returns the `Record`.
        side_inputs: of Beam.
    """

    def __init__(
        self,
        data: str,
        files: Sequence[Any],
        per_element: int,
        problem: Callable[[bytes], str | None],
        to_record: Callable[..., Record],
        *side_inputs: Any,
    ):
        super().__init__()
        self._parts = [
            tuple(files[first : first + per_element]) for first in range(0, len(files), per_element)
        ]
        self._read = _ReadImageFiles(data, problem, to_record)
        self._side_inputs = side_inputs

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads and decodes."""
        return (
            root
            | "Files" >> beam.Create(self._parts, reshuffle=True)
            | "Read" >> beam.ParDo(self._read, *self._side_inputs)
        )


class _ReadImageFiles(beam.DoFn):
    """Reads files of a folder or an archive, which is opened once per worker."""

    def __init__(
        self,
        data: str,
        problem: Callable[[bytes], str | None],
        to_record: Callable[..., Record],
    ):
        super().__init__()
        self._source = filesystem.base_name(data)
        self._files = FileReader(data)
        self._problem = problem
        self._to_record = to_record

    def teardown(self) -> None:
        self._files.close()

    def process(self, element, *side_inputs):
        for file in element:
            if isinstance(file, BadRecord):
                yield file
                continue
            try:
                image = self._files.read(file.path)
                reason = self._problem(image)
            except UNREADABLE as error:
                reason = f"{type(error).__name__}: {error}"
            if reason:
                yield BadRecord(self._source, file.path, not_an_image(reason))
            else:
                yield self._to_record(image, file, self._source, *side_inputs)
