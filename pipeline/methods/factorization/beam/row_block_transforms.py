"""Writes sparse row blocks in Beam: from any rows and from transformed examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from .....components.base.artifacts import Examples
from .....components.base.errors import BadDataError
from .....components.beam import sorted_runs
from .....components.beam.pack_runs import PackRuns
from .....components.beam.read_examples import ReadExamples
from .....components.beam.run import run_pipeline
from .....components.beam.sorted_runs import RUNS
from .....components.io import filesystem
from .row_blocks import (
    RowBlocks,
    SparseRow,
    check_sizes,
    prepare_folder,
    write_block,
    write_manifest,
)


class WriteRowBlocks(beam.PTransform):
    """Writes a PCollection of sparse rows as row blocks; gives `{"blocks": count}`.

    Row i lies in the block i // rows_per_block, whatever the order in which rows come. A block is
    merged from runs in files, so that memory holds one block, and what is shuffled are paths.

    Args:
        folder: string, without row blocks yet; made if it is missing. The folder `.runs` in it may
            be removed after the pipeline.
        columns: int, number of columns of the matrix.
        rows_per_block: int.
        compress: bool, whether to deflate the files.
        immediately: bool, whether the runner loses what is yielded at a bundle's end,
            as Beam's Dask runner does.

    Input:
        (row, columns, values): the row's number, not negative and each once; the columns of its
        stored entries, each in [0, columns) and once; and their values, finite and not negative.

    Raises:
        ValueError: sizes below 1, or the folder holds row blocks already.
        BadDataError: once the pipeline runs, a row cannot be used.

    Example:

    ```python
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([(0, [1, 3], [5.0, 2.0]), (1, [0], [4.0])])
        rows | WriteRowBlocks("blocks", columns=4)
    ```
    """

    def __init__(
        self,
        folder: str,
        columns: int,
        rows_per_block: int = 32768,
        compress: bool = False,
        immediately: bool = False,
    ):
        super().__init__()
        check_sizes(columns, rows_per_block)
        prepare_folder(folder)
        self._folder = folder
        self._columns = columns
        self._rows_per_block = rows_per_block
        self._compress = compress
        self._immediately = immediately

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """Packs, groups by block, writes, and writes `blocks.json`."""
        runs = filesystem.join(self._folder, RUNS)
        return (
            rows
            | "PackRows" >> beam.ParDo(_PackRows(runs, self._rows_per_block, self._immediately))
            | "GroupByBlock" >> beam.GroupByKey()
            | "WriteBlock" >> beam.Map(_write_runs, self._folder, self._columns, self._compress)
            | "WriteManifest" >> WriteManifest(self._folder, self._columns)
        )


class WriteManifest(beam.PTransform):
    """Gathers what `write_block` returns and writes `blocks.json`; gives `{"blocks": count}`.

    Args:
        folder: string, where the blocks lie.
        columns: int, number of columns of the matrix.
    """

    def __init__(self, folder: str, columns: int):
        super().__init__()
        self._folder = folder
        self._columns = columns

    def expand(self, described: beam.PCollection) -> beam.PCollection:
        """Gathers and writes."""
        return (
            described
            | "Key" >> beam.Map(lambda block: ("", block))
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write_gathered, self._folder, self._columns)
        )


class _PackRows(PackRuns):
    """Gives `(block, run)`."""

    def __init__(self, folder: str, rows_per_block: int, immediately: bool):
        super().__init__(folder, immediately)
        self._rows_per_block = rows_per_block

    def process(self, element: SparseRow) -> Iterator[Any]:
        row, columns, values = element
        if row < 0 or len(columns) != len(values):
            raise BadDataError(
                f"A row must have a number of at least 0 and as many values as columns. "
                f"Received: row {row} with {len(columns)} columns and {len(values)} values"
            )
        payload = np.asarray(columns, "<i8").tobytes() + np.asarray(values, "<f4").tobytes()
        yield from self.add(row // self._rows_per_block, int(row).to_bytes(8, "big"), payload)


def _write_runs(
    element: tuple[int, Any], folder: str, columns: int, compress: bool
) -> dict[str, Any]:
    block, runs = element
    rows = []
    for key, payload in sorted_runs.merge(runs):
        middle = len(payload) // 12 * 8
        row_columns = np.frombuffer(payload[:middle], "<i8")
        rows.append(
            (int.from_bytes(key, "big"), row_columns, np.frombuffer(payload[middle:], "<f4"))
        )
    try:
        return write_block(folder, block, rows, columns, compress)
    except ValueError as error:
        raise BadDataError(str(error)) from error


def _write_gathered(element: tuple[str, Any], folder: str, columns: int) -> dict[str, int]:
    described = list(element[1])
    write_manifest(folder, columns, described)
    return {"blocks": len(described)}


def blocks_of_examples(
    examples: Examples,
    folder: str,
    columns: int,
    *,
    split: str = "train",
    held_out_fold: int | None = None,
    rows_per_block: int = 32768,
    compress: bool = False,
    beam_arguments: Sequence[str] = (),
) -> RowBlocks:
    """Writes the ratings of transformed examples, one user an example, as row blocks.

    A rating of an item that is not in the vocabulary is left out; a user without any rating left
    keeps an empty row.

    Args:
        examples: transformed examples of the ratings kind, with `user`, `items`, `ratings` and, for
            `held_out_fold`, `folds`.
        folder: string, without row blocks yet.
        columns: int, number of items in the vocabulary.
        split: the examples' split.
        held_out_fold: leaves out the ratings of this fold, its test ratings; `None` keeps all.
        rows_per_block: int, users a block.
        compress: bool, whether to deflate the files.
        beam_arguments: Beam's flags.

    Returns:
        The `RowBlocks`.

    Raises:
        ValueError: sizes below 1, no examples, or the folder holds row blocks already.
        BadDataError: an example cannot be used, or a user comes twice.
    """
    files = examples.files(split)
    if not files:
        raise ValueError(f"The split must have examples. Received: {examples.split_uri(split)!r}")

    def build(pipeline: Any, immediately: bool, token: str) -> Any:
        write = WriteRowBlocks(folder, columns, rows_per_block, compress, immediately)
        return (
            pipeline
            | "ReadExamples" >> ReadExamples(files, token)
            | "ToRows" >> beam.Map(example_row, columns, held_out_fold)
            | "WriteRowBlocks" >> write
        )

    return run_into(folder, build, beam_arguments)


def example_row(
    features: Mapping[str, Sequence[Any]], columns: int, held_out_fold: int | None = None
) -> SparseRow:
    """Returns a transformed example, one user's ratings, as a sparse row.

    Args:
        features: `user` [int], `items` list of int, `ratings` list of float, `folds` list of int.
        columns: int; ratings of items from this index on, the unknown ones, are left out.
        held_out_fold: leaves out the ratings of this fold; `None` keeps all.

    Raises:
        BadDataError: the lists are not of one length.
    """
    items, ratings = features["items"], features["ratings"]
    folds = features["folds"] if held_out_fold is not None else items
    if not len(items) == len(ratings) == len(folds):
        raise BadDataError(
            f"An example must have as many ratings and folds as items. Received: {len(items)} "
            f"items, {len(ratings)} ratings and {len(folds)} folds of user {features['user']}"
        )
    kept = [
        (item, rating)
        for item, rating, fold in zip(items, ratings, folds, strict=True)
        if item < columns and (held_out_fold is None or fold != held_out_fold)
    ]
    return int(features["user"][0]), [item for item, _ in kept], [rating for _, rating in kept]


def run_into(
    folder: str, build: Callable[[Any, bool, str], beam.PCollection], beam_arguments: Sequence[str]
) -> RowBlocks:
    """Runs a pipeline that writes row blocks into a folder, and opens them.

    Args:
        folder: string.
        build: as in `run_pipeline`; returns what `WriteManifest` gives.
        beam_arguments: Beam's flags.
    """
    filesystem.make_dirs(folder)
    run_pipeline(build, beam_arguments, folder)
    filesystem.remove_tree(filesystem.join(folder, RUNS))
    return RowBlocks(folder)
