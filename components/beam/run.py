"""Runs the Beam pipelines of the data stages: progress, counters, outcomes, errors."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..base.errors import BadDataError
from ..io import filesystem
from .options import DASK_RUNNER, DEFAULT_RUNNER, load_beam, runner_and_options
from .progress import Progress

if TYPE_CHECKING:
    import apache_beam as beam

_OUTCOMES = ".outcomes.json"
_RAISED = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception)): (.*)", re.MULTILINE | re.DOTALL)
_WHILE_RUNNING = re.compile(r"\s*\[while running '(?P<label>[^']*)'\]\s*")


def run_pipeline(
    build: Callable[[beam.Pipeline, bool, str], beam.PCollection],
    beam_arguments: Sequence[str],
    folder: str,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Builds and runs one Beam pipeline and waits for its end.

    The pipeline returns its results as rows that its last step writes to a file, so that every
    runner can return them, even one without metrics.

    Args:
        build: `build(pipeline, immediately, token)` adds the transforms and returns a PCollection
            of rows (dicts of JSON values). Everything that the pipeline does must lead to these
            rows: Beam's Dask runner runs only what the last transform depends on. `immediately` is
            `True` if the runner loses what is yielded at a bundle's end. `token` is what a DoFn
            passes to `advance` or `counted`.
        beam_arguments: Beam flags.
        folder: takes the file of rows while the pipeline runs; every worker can reach it.
        progress: called with the number of examples that are done so far.

    Returns:
        The rows, sorted, and Beam's user counters by name where the runner has them.

    Raises:
        ValueError: a Beam flag is unknown.
        BadDataError: the pipeline raised it, in any process.
        KeyboardInterrupt: Ctrl-C, even if it interrupted a step of the pipeline.
        RuntimeError: the pipeline failed.
    """
    beam = load_beam()
    from apache_beam.io.filesystems import FileSystems

    from .outcomes import WriteOutcomes

    runner, options = runner_and_options(beam_arguments)
    path = filesystem.join(folder, _OUTCOMES)
    pipeline = beam.Pipeline(runner=runner, options=options)
    with Progress(progress) as token:
        try:
            # Beam's Dask runner drops what a DoFn yields in `finish_bundle`.
            rows = build(pipeline, runner == DASK_RUNNER, token)
            _ = rows | "WriteOutcomes" >> WriteOutcomes(path)
            with _quiet(runner):
                result = pipeline.run()
                try:
                    result.wait_until_finish()
                finally:
                    # The Dask runner leaves its client open, which keeps trying to reconnect.
                    if hasattr(result, "client"):
                        result.client.close()
        except Exception as error:
            raise _translated(error) from error
    with filesystem.open_file(path) as reader:
        outcomes = json.load(reader)
    FileSystems.delete([path])
    return outcomes, _user_counters(result)


@contextlib.contextmanager
def _quiet(runner: str) -> Iterator[None]:
    """Keeps the local runner from logging an error's traceback thrice before it raises it."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    if runner == DEFAULT_RUNNER:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _user_counters(result: Any) -> dict[str, int]:
    """Returns Beam's user counters; a runner without metrics has none."""
    try:
        counters = result.metrics().query()["counters"]
    except NotImplementedError:
        return {}
    totals: dict[str, int] = {}
    for counter in counters:
        name = counter.key.metric.name
        totals[name] = totals.get(name, 0) + int(counter.result)
    return totals


def _translated(error: Exception) -> BaseException:
    """Returns an error with the cause alone, in place of a worker's traceback in a message."""
    text = str(error)
    labels = [match["label"] for match in _WHILE_RUNNING.finditer(text)]
    text = _WHILE_RUNNING.sub("", text).strip()
    name, message = type(error).__name__, text
    if "Traceback (most recent call last)" in text:
        raised = _RAISED.search(text.rpartition("\n  File ")[2])
        if raised:
            name, message = raised.groups()
    if name == BadDataError.__name__:
        return BadDataError(message)
    if "KeyboardInterrupt" in (name, message.strip()):
        # The local runner works in the main thread, where Ctrl-C arrives inside of a step.
        return KeyboardInterrupt()
    if not labels and "Traceback (most recent call last)" not in text:
        return error
    step = f" in step {labels[0]!r}" if labels else ""
    return RuntimeError(f"The Beam pipeline failed{step}: {name}: {message}")
