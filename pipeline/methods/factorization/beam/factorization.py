"""Factorization on Beam: V ≈ W H where neither V nor W fits into memory.

V lies as row blocks in files (`row_blocks`), W as row blocks beside them, H is small. Each
iteration is one Beam pass: a worker reads a block of V and of W, updates the block of W with the
current H, writes it, and adds the block's sums to those of its other blocks; what travels is a few
matrices of the size of H. Then H is updated once.

    python -m methodical.pipeline.methods.factorization.beam.factorization --help

A folder of a factorization holds `options.json` and the last iteration that is whole:

    iteration-00003/weights-00000.npy, …   W, one float array (rows, rank) a block of V
    iteration-00003/sums.npz               what the blocks gave, from which H was updated
    iteration-00003/state.json             the losses and seconds of the iterations so far
    iteration-00003/components.npy         H (rank, columns), written last, by one rename
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .....components.base.errors import BadDataError
from .....components.beam.options import runner_and_options
from .....components.beam.run import run_pipeline
from .....components.io import filesystem
from .block_updates import BlockUpdates, Sums
from .factor_files import (
    COMPONENTS,
    SUMS,
    initial_factor,
    initial_scale,
    iteration_folder,
    last_whole,
    read_array,
    remove_others,
    weights_path,
    write_array,
)
from .row_blocks import RowBlocks, open_binary, write_whole

OPTIONS = "options.json"
STATE = "state.json"
MOST_PIECES = 32

Report = Callable[[int, float, float], None]


@dataclasses.dataclass(frozen=True)
class BlockFactorization:
    """What `factorize_blocks` found.

    Args:
        components: H, float array (rank, columns).
        weights_dir: folder of the blocks of W, `weights-00000.npy`, …, one a block of V.
        losses: the loss after each iteration, those of earlier calls included.
        seconds: how long each iteration took.
        blocks: the row blocks of V.
    """

    components: np.ndarray
    weights_dir: str
    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    blocks: RowBlocks

    def weights(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields, a block of V each, the rows' numbers (n,) and their rows of W (n, rank)."""
        for index in range(len(self.blocks)):
            yield self.blocks.read_rows(index), read_array(weights_path(self.weights_dir, index))


def factorize_blocks(
    blocks_dir: str,
    out_dir: str,
    rank: int,
    iterations: int,
    *,
    solver: Literal["multiplicative", "hierarchical"] = "multiplicative",
    loss: Literal["euclidean", "divergence"] = "euclidean",
    observed: Literal["all", "stored"] = "all",
    seed: int = 0,
    dtype: str = "float32",
    pieces: int | None = None,
    beam_arguments: Sequence[str] = (),
    report: Report | None = None,
    progress: Callable[[float | None, str], None] = lambda fraction, text: None,
) -> BlockFactorization:
    """Factorizes a matrix that lies as row blocks in files: V ≈ W H, all non-negative.

    The start is scikit-learn's `init="random"`: |N(0, 1)| times the root of V's mean over the rank,
    drawn for each block from `seed` and the block's number, so that it does not depend on the
    runner. An iteration updates W, then H (see `BlockUpdates`).

    A call with a folder in which some iterations are done goes on after the last whole one, whether
    the earlier call ended or was killed; `iterations` counts all. One call at a time may work in a
    folder.

    Args:
        blocks_dir: folder of the row blocks (`write_row_blocks`, `WriteRowBlocks`), which every
            worker can reach, as `out_dir`.
        out_dir: folder of the factorization; made if it is missing.
        rank: int ≥ 1, the number of components.
        iterations: int ≥ 1, passes over V in all.
        solver: `"multiplicative"` or `"hierarchical"`.
        loss: `"euclidean"` or `"divergence"`.
        observed: `"all"`: what V does not store is zero. `"stored"`: it is missing, as in ratings.
        seed: int ≥ 0.
        dtype: `"float32"` or `"float64"`, of W, H and the products; sums over blocks are float64.
        pieces: into how many pieces of several blocks a pass is cut, each of which sends its sums
            once; `None`: as many as blocks, 32 at most. More than workers, so that they end alike.
        beam_arguments: Beam's flags, for example
            `("--direct_num_workers=2", "--direct_running_mode=multi_processing")`.
        report: `report(iteration, loss, seconds)` after each iteration, counted from 1. Unless the
            loss is Euclidean over all entries it is known, and reported, one pass later.
        progress: `progress(fraction, text)` while a pass runs in this process.

    Returns:
        The `BlockFactorization`.

    Raises:
        ValueError: an option is out of range, blocks are missing, the folder holds a factorization
            with other options, of other blocks, or with more iterations.
        BadDataError: a block or an earlier block of W is broken or of another shape.
        RuntimeError: the Beam pipeline failed.

    Example:

    ```python
    write_row_blocks([(0, [0, 1], [5, 4]), (1, [0, 2], [2, 5])], "blocks", columns=3)
    found = factorize_blocks("blocks", "factors", rank=1, iterations=20)
    found.components, found.losses[-1]
    for rows, weights in found.weights(): ...
    ```
    """
    updates = BlockUpdates(solver, loss, observed)
    _check(rank, iterations, seed, dtype, pieces)
    blocks = RowBlocks(blocks_dir)
    blocks.check_files()
    # A wrong flag is an error before anything is written.
    runner_and_options(beam_arguments)
    options = {"rank": rank, "seed": seed, "dtype": dtype}
    run = _Run(blocks, out_dir, updates, options, pieces, tuple(beam_arguments), progress)
    return run.to(iterations, report)


class _Run:
    """The iterations of one call."""

    def __init__(
        self,
        blocks: RowBlocks,
        out_dir: str,
        updates: BlockUpdates,
        options: Mapping[str, Any],
        pieces: int | None,
        beam_arguments: tuple[str, ...],
        progress: Callable[[float | None, str], None],
    ):
        self._blocks = blocks
        self._out_dir = out_dir
        self._updates = updates
        self._options = dict(options)
        count = min(len(blocks), pieces or MOST_PIECES)
        self._pieces = [range(first, len(blocks), count) for first in range(count)]
        self._beam_arguments = beam_arguments
        self._progress = progress
        self._scale = initial_scale(blocks, options["rank"], updates.observed)

    def to(self, iterations: int, report: Report | None) -> BlockFactorization:
        """Runs the iterations that are not done yet."""
        self._hold_options()
        done = last_whole(self._out_dir)
        if done is None:
            done = 0
            self._publish(0, self._initial_components(), [], [])
        if done > iterations:
            raise ValueError(
                f"{self._out_dir} has {done} iterations already; ask for as many or more, or give "
                f"another folder. Received: iterations={iterations}"
            )
        components, losses, seconds = self._read(done)
        remove_others(self._out_dir, done)

        def found(loss: float) -> None:
            losses.append(loss)
            if report:
                report(len(losses), loss, seconds[len(losses) - 1])

        for iteration in range(done + 1, iterations + 1):
            start = time.monotonic()
            sums = self._pass(iteration - 1, iteration)
            components = self._updates.update_components(components, sums)
            if self._updates.uses_gram:
                loss = self._updates.loss_from_gram(components, sums, self._blocks.squares)
                known = [*losses, loss]
            else:
                # The pass saw V with the W and H of the iteration before.
                loss = float(sums["loss"])
                known = [*losses, loss][: iteration - 1]
            seconds.append(time.monotonic() - start)
            self._publish(iteration, components, known, seconds)
            filesystem.remove_tree(iteration_folder(self._out_dir, iteration - 1))
            if len(known) > len(losses):
                found(loss)
        if len(losses) < iterations:
            sums = self._pass(iterations, None)
            found(float(sums["loss"]))
            self._write_state(iterations, losses, seconds)
        folder = iteration_folder(self._out_dir, iterations)
        return BlockFactorization(components, folder, tuple(losses), tuple(seconds), self._blocks)

    def _hold_options(self) -> None:
        """Writes the options, or compares them with those of an earlier call."""
        path = filesystem.join(self._out_dir, OPTIONS)
        options = {**dataclasses.asdict(self._updates), **self._options}
        options["blocks"] = self._blocks.fingerprint
        if not filesystem.exists(path):
            filesystem.make_dirs(self._out_dir)
            text = json.dumps(options, indent=1, sort_keys=True) + "\n"
            write_whole(path, lambda writer: writer.write(text.encode()))
            return
        with filesystem.open_file(path) as reader:
            earlier = json.load(reader)
        for name, value in options.items():
            if earlier.get(name) != value:
                raise ValueError(
                    f"{self._out_dir} holds a factorization with {name}={earlier.get(name)!r}; "
                    f"go on with the same, or give another folder. Received: {name}={value!r}"
                )

    def _initial_components(self) -> np.ndarray:
        shape = (self._options["rank"], self._blocks.columns)
        seed, dtype = self._options["seed"], self._options["dtype"]
        return initial_factor(seed, 0, shape, self._scale, dtype)

    def _pass(self, source: int, target: int | None) -> Sums:
        """Goes over V once; without a target it measures the loss only."""
        source_folder = iteration_folder(self._out_dir, source)
        folder = source_folder if target is None else iteration_folder(self._out_dir, target)
        if target is not None:
            filesystem.remove_tree(folder)
            filesystem.make_dirs(folder)
        text = f"iteration {target}" if target is not None else "loss"

        def build(pipeline: Any, immediately: bool, token: str) -> Any:
            from .factorization_pass import FactorizationPass

            return pipeline | FactorizationPass(
                self._blocks.folder,
                source_folder if source else "",
                folder if target is not None else "",
                filesystem.join(source_folder, COMPONENTS),
                self._updates,
                self._scale,
                self._options["seed"],
                self._pieces,
                token,
            )

        rows, _ = run_pipeline(
            build,
            self._beam_arguments,
            folder,
            lambda entries: self._progress(entries / max(self._blocks.entries, 1), text),
        )
        if rows != [{"blocks": len(self._blocks)}]:
            raise RuntimeError(
                f"A pass must visit each of the {len(self._blocks)} blocks once; the runner lost "
                f"or repeated some. Received: {rows}"
            )
        with open_binary(filesystem.join(folder, SUMS)) as reader, np.load(reader) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def _publish(
        self,
        iteration: int,
        components: np.ndarray,
        losses: Sequence[float],
        seconds: Sequence[float],
    ) -> None:
        folder = iteration_folder(self._out_dir, iteration)
        filesystem.make_dirs(folder)
        self._write_state(iteration, losses, seconds)
        write_array(filesystem.join(folder, COMPONENTS), components)

    def _write_state(
        self, iteration: int, losses: Sequence[float], seconds: Sequence[float]
    ) -> None:
        text = json.dumps({"losses": list(losses), "seconds": list(seconds)}) + "\n"
        path = filesystem.join(iteration_folder(self._out_dir, iteration), STATE)
        write_whole(path, lambda writer: writer.write(text.encode()))

    def _read(self, iteration: int) -> tuple[np.ndarray, list[float], list[float]]:
        folder = iteration_folder(self._out_dir, iteration)
        components = read_array(filesystem.join(folder, COMPONENTS))
        shape = (self._options["rank"], self._blocks.columns)
        if components.shape != shape:
            raise BadDataError(
                f"H must have the shape {shape}; factorize into a new folder. "
                f"Received: {components.shape} in {folder}"
            )
        with filesystem.open_file(filesystem.join(folder, STATE)) as reader:
            state = json.load(reader)
        return components, state["losses"], state["seconds"]


def _check(rank: int, iterations: int, seed: int, dtype: str, pieces: int | None) -> None:
    numbers = {"rank": (rank, 1), "iterations": (iterations, 1), "seed": (seed, 0)}
    if pieces is not None:
        numbers["pieces"] = (pieces, 1)
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be an int of at least {least}. Received: {value!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64'. Received: {dtype!r}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `factorize_blocks` from a command line; Beam's flags stand after `--`."""
    parser = argparse.ArgumentParser(description="Factorizes row blocks: V ≈ W H, non-negative.")
    parser.add_argument("blocks_dir", help="folder of the row blocks of V")
    parser.add_argument("out_dir", help="folder of the factorization")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--solver", default="multiplicative", help="or hierarchical")
    parser.add_argument("--loss", default="euclidean", help="or divergence")
    parser.add_argument("--observed", default="all", help="or stored")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32", help="or float64")
    parser.add_argument("--pieces", type=int, help="sums that a pass sends; at most 32 by itself")
    own_arguments = list(sys.argv[1:] if arguments is None else arguments)
    beam_arguments: list[str] = []
    if "--" in own_arguments:
        split = own_arguments.index("--")
        own_arguments, beam_arguments = own_arguments[:split], own_arguments[split + 1 :]
    options = vars(parser.parse_args(own_arguments))

    def report(iteration: int, loss: float, seconds: float) -> None:
        sys.stdout.write(f"iteration {iteration}  loss {loss:.6e}  {seconds:.1f} s\n")
        sys.stdout.flush()

    try:
        factorization = factorize_blocks(**options, beam_arguments=beam_arguments, report=report)
    except (ValueError, BadDataError, RuntimeError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"W and H: {factorization.weights_dir}\n")


if __name__ == "__main__":
    main()
