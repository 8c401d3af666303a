"""Simulates ratings of low rank as sparse row blocks, in Beam, however many they are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from scipy import sparse

from .block_updates import stored_products
from .row_block_transforms import WriteManifest, run_into
from .row_blocks import RowBlocks, check_sizes, prepare_folder, write_arrays

_LOWEST, _HIGHEST = 0.5, 5.0


def simulate_row_blocks(
    folder: str,
    rows: int,
    columns: int,
    density: float,
    *,
    rank: int = 10,
    noise: float = 0.5,
    seed: int = 0,
    rows_per_block: int = 32768,
    compress: bool = False,
    beam_arguments: Sequence[str] = (),
) -> RowBlocks:
    """Simulates ratings of low rank, block by block in Beam, and writes them as row blocks.

    Each entry is observed with probability `density`, independently. Its rating is the product of
    known factors with entries of an exponential distribution, scaled to the mean 3, with normal
    noise, rounded to half a star between 0.5 and 5. A block depends on `seed` and its number only.

    Args:
        folder: string, without row blocks yet.
        rows: int, users.
        columns: int, items.
        density: float in (0, 1], share of the entries that are observed.
        rank: int, of the factors.
        noise: float, standard deviation in stars.
        seed: int.
        rows_per_block: int.
        compress: bool, whether to deflate the files.
        beam_arguments: Beam's flags.

    Returns:
        The `RowBlocks`.

    Raises:
        ValueError: a size or the density is out of range, or the folder holds row blocks already.
    """
    check_sizes(columns, rows_per_block)
    if rows < 1 or rank < 1 or not 0 < density <= 1 or noise < 0:
        raise ValueError(
            "Rows and rank must be at least 1, the density in (0, 1] and the noise not negative. "
            f"Received: rows={rows}, rank={rank}, density={density}, noise={noise}"
        )
    prepare_folder(folder)
    simulate = functools.partial(
        _simulate, folder, rows, columns, density, rank, noise, seed, rows_per_block, compress
    )

    def build(pipeline: Any, immediately: bool, token: str) -> Any:
        return (
            pipeline
            | "Blocks" >> beam.Create(range(-(-rows // rows_per_block)), reshuffle=True)
            | "Simulate" >> beam.Map(simulate)
            | "WriteManifest" >> WriteManifest(folder, columns)
        )

    return run_into(folder, build, beam_arguments)


def _simulate(
    folder: str,
    rows: int,
    columns: int,
    density: float,
    rank: int,
    noise: float,
    seed: int,
    rows_per_block: int,
    compress: bool,
    block: int,
) -> dict[str, Any]:
    first = block * rows_per_block
    count = min(rows, first + rows_per_block) - first
    transposed = np.random.default_rng([seed, 0]).exponential(size=(columns, rank))
    generator = np.random.default_rng([seed, block + 1])
    weights = generator.exponential(size=(count, rank)) * 3 / rank
    places = _observed(generator, count * columns, density)
    owners, indices = np.divmod(places, columns)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))])
    shape = (count, columns)
    matrix = sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
    products = stored_products(matrix, weights.astype(np.float32), transposed.astype(np.float32))
    products += np.float32(noise) * generator.standard_normal(len(products), dtype=np.float32)
    ratings = np.clip(np.round(2 * products) / 2, _LOWEST, _HIGHEST)
    numbers = np.arange(first, first + count)
    return write_arrays(folder, block, numbers, indptr, indices, ratings, columns, compress)


def _observed(generator: np.random.Generator, places: int, density: float) -> np.ndarray:
    """Draws the ascending places of an independent Bernoulli mask by the gaps between them."""
    places_by_draw = []
    last = -1
    while last < places:
        likely = int((places - last) * density)
        gaps = generator.geometric(density, likely + 4 * int(likely**0.5) + 16)
        places_by_draw.append(last + np.cumsum(gaps))
        last = int(places_by_draw[-1][-1])
    together = np.concatenate(places_by_draw)
    return together[together < places]
