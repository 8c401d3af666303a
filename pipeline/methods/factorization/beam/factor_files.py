"""The factors of a factorization over row blocks: their start, and where they lie in files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....components.base.errors import BadDataError
from .....components.io import filesystem
from .row_blocks import RowBlocks, open_binary, write_whole

COMPONENTS = "components.npy"
SUMS = "sums.npz"
_PREFIX = "iteration-"


def iteration_folder(out_dir: str, iteration: int) -> str:
    """Returns the folder of an iteration."""
    return filesystem.join(out_dir, f"{_PREFIX}{iteration:05d}")


def _iterations(out_dir: str) -> list[int]:
    names = filesystem.list_dir(out_dir)
    return sorted(
        int(name[len(_PREFIX) :])
        for name in names
        if name.startswith(_PREFIX) and name[len(_PREFIX) :].isdigit()
    )


def last_whole(out_dir: str) -> int | None:
    """Returns the last iteration that was published, `None` if there is none."""
    whole = [
        iteration
        for iteration in _iterations(out_dir)
        if filesystem.exists(filesystem.join(iteration_folder(out_dir, iteration), COMPONENTS))
    ]
    return max(whole, default=None)


def remove_others(out_dir: str, kept: int) -> None:
    """Removes the folders of all iterations but one."""
    for iteration in _iterations(out_dir):
        if iteration != kept:
            filesystem.remove_tree(iteration_folder(out_dir, iteration))


def initial_scale(blocks: RowBlocks, rank: int, observed: str) -> float:
    """Returns √(mean of V / rank), the mean over all entries or the stored ones."""
    entries = blocks.entries if observed == "stored" else math.prod(blocks.shape)
    return math.sqrt(blocks.sum / max(entries, 1) / rank)


def initial_factor(
    seed: int, number: int, shape: tuple[int, int], scale: float, dtype: Any
) -> np.ndarray:
    """Draws the start of H, number 0, or of a block of W, numbers from 1: `scale` · |N(0, 1)|."""
    generator = np.random.default_rng([seed, number])
    return (scale * np.abs(generator.standard_normal(shape))).astype(dtype)


def weights_path(folder: str, index: int) -> str:
    """Returns the file of a block of W."""
    return filesystem.join(folder, f"weights-{index:05d}.npy")


def write_array(path: str, array: np.ndarray) -> None:
    """Writes one array as a whole `.npy` file."""
    write_whole(path, lambda writer: np.save(writer, array))


def read_array(path: str) -> np.ndarray:
    """Reads one `.npy` file.

    Raises:
        BadDataError: it is missing or broken.
    """
    try:
        with open_binary(path) as reader:
            return np.load(reader)
    # NumPy and TensorFlow's gfile raise errors of many kinds.
    except Exception as error:
        raise BadDataError(
            f"A factorization's arrays must be whole .npy files; factorize into a new folder. "
            f"Received: {path}: {error}"
        ) from error
