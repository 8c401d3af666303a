"""One pass of a factorization over row blocks, as Beam transforms (see `factorization`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from .....components.base.errors import BadDataError
from .....components.beam.progress import advance
from .....components.io import filesystem
from .block_updates import BlockUpdates, Sums, added
from .factor_files import SUMS, initial_factor, read_array, weights_path, write_array
from .row_blocks import RowBlock, RowBlocks, write_whole


class FactorizationPass(beam.PTransform):
    """Goes over all blocks once and writes the sums; gives `{"blocks": count}`.

    A piece of several blocks is one element, which adds up its own sums, so that every runner
    shuffles few of them, also one that does not combine early.

    Args:
        blocks_dir: folder of the row blocks.
        source: folder with the blocks of W to start from, or `""` to draw them.
        target: folder for the new blocks of W and the sums; `""` to measure the loss only, whose
            sums go into `source`.
        components_path: file of H.
        updates: what a block adds.
        scale: of the W that is drawn.
        seed: of the W that is drawn.
        pieces: lists of indices of blocks.
        token: of the progress.
    """

    def __init__(
        self,
        blocks_dir: str,
        source: str,
        target: str,
        components_path: str,
        updates: BlockUpdates,
        scale: float,
        seed: int,
        pieces: Sequence[Sequence[int]],
        token: str,
    ):
        super().__init__()
        self._pieces = [list(piece) for piece in pieces]
        self._sums = filesystem.join(target or source, SUMS)
        self._visit = _VisitBlocks(
            blocks_dir, source, target, components_path, updates, scale, seed, token
        )

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Visits the pieces, adds up, writes."""
        return (
            root
            | "Pieces" >> beam.Create(self._pieces, reshuffle=True)
            | "VisitBlocks" >> beam.ParDo(self._visit)
            | "AddSums" >> beam.CombineGlobally(_total).without_defaults()
            | "WriteSums" >> beam.Map(_write_sums, self._sums)
        )


class _VisitBlocks(beam.DoFn):
    """Updates, or measures, the blocks of a piece one after another; gives their sums."""

    def __init__(
        self,
        blocks_dir: str,
        source: str,
        target: str,
        components_path: str,
        updates: BlockUpdates,
        scale: float,
        seed: int,
        token: str,
    ):
        super().__init__()
        self._blocks_dir = blocks_dir
        self._source = source
        self._target = target
        self._components_path = components_path
        self._updates = updates
        self._scale = scale
        self._seed = seed
        self._token = token

    def process(self, piece: list[int]) -> Iterator[Sums]:
        blocks = RowBlocks(self._blocks_dir)
        components = read_array(self._components_path)
        totals: Sums = {}
        for index in piece:
            block = blocks.read(index)
            sums = self._visit(index, block, components)
            sums["blocks"] = np.ones(())
            added(totals, sums)
            advance(self._token, block.matrix.nnz)
        yield totals

    def _visit(self, index: int, block: RowBlock, components: np.ndarray) -> Sums:
        shape = (len(block.rows), len(components))
        if self._source:
            path = weights_path(self._source, index)
            weights = read_array(path)
            if weights.shape != shape or weights.dtype != components.dtype:
                raise BadDataError(
                    f"A block of W must be {components.dtype} {shape}, as its block of V and H "
                    f"are; factorize into a new folder. "
                    f"Received: {weights.dtype} {weights.shape} in {path}"
                )
        else:
            weights = initial_factor(self._seed, index + 1, shape, self._scale, components.dtype)
        if not self._target:
            return self._updates.measure_block(block.matrix, weights, components)
        weights, sums = self._updates.update_block(block.matrix, weights, components)
        write_array(weights_path(self._target, index), weights)
        return sums


def _total(parts: Iterable[Sums]) -> Sums:
    totals: Sums = {}
    for part in parts:
        added(totals, part)
    return totals


def _write_sums(sums: Sums, path: str) -> dict[str, int]:
    save: Any = np.savez
    write_whole(path, lambda writer: save(writer, **sums))
    return {"blocks": int(sums["blocks"])}
