"""Reads the examples of TFRecord files. Imported inside `execute`: it imports Beam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from ..io import example_proto, tfrecord
from .progress import counted


class ReadExamples(beam.PTransform):
    """Reads the examples of files as dicts of features.

    Args:
        files: TFRecord files.
        token: of the progress.
    """

    def __init__(self, files: Sequence[str], token: str):
        super().__init__()
        self._files = files
        self._token = token

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Reads one file per element."""
        return (
            root
            | "Files" >> beam.Create(self._files, reshuffle=True)
            | "ReadFile" >> beam.FlatMap(read_examples, self._token)
        )


def read_examples(path: str, token: str = "") -> Iterator[dict[str, list[Any]]]:
    """Yields the examples of a TFRecord file as dicts of features and reports the progress."""
    return counted(map(example_proto.decode, tfrecord.read_records(path)), token)
