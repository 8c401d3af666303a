"""Runs the Beam pipelines of the data stages: runner, flags, counters, progress, errors.

The default runner is Beam's `FnApiRunner`, named explicitly: `DirectRunner` would first try to
download another runner. Beam's own flags go through as they are.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import filesystem
from .component import BadDataError, ExecutionContext

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

DEFAULT_RUNNER = "FnApiRunner"
DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
_OUTCOMES = ".outcomes.json"
_RAISED = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception)): (.*)", re.MULTILINE | re.DOTALL)
_WHILE_RUNNING = re.compile(r"\s*\[while running '(?P<label>[^']*)'\]\s*")

_progress: dict[str, Callable[[int], None]] = {}


def load_beam() -> Any:
    """Imports Beam without what it logs on import about parts that are not installed."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import apache_beam
    finally:
        logging.disable(previous)
    return apache_beam


def runner_and_options(beam_arguments: Sequence[str]) -> tuple[str, PipelineOptions]:
    """Reads Beam flags.

    Args:
        beam_arguments: flags as on a command line, for example
            `("--runner=DataflowRunner", "--project=p")`.

    Returns:
        The runner's name, `FnApiRunner` where none is named, and the options.

    Raises:
        ValueError: a flag that neither Beam nor the runner knows, or an argument that is no flag.
    """
    load_beam()
    from apache_beam.options.pipeline_options import StandardOptions

    flags = list(beam_arguments)
    for before, argument in zip(["", *flags], flags, strict=False):
        belongs = before.startswith("--") and "=" not in before
        if not argument.startswith("--") and not belongs:
            raise ValueError(
                f"Beam arguments must be flags such as --runner=FnApiRunner. Received: {argument!r}"
            )
    runner = _parsed(flags).view_as(StandardOptions).runner or DEFAULT_RUNNER
    if runner.lower() in ("dask", "daskrunner"):
        runner = DASK_RUNNER
    if "." in runner:
        # A runner's module declares its flags.
        module = runner.rpartition(".")[0]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f"The runner {runner} cannot be imported ({error}); its packages come with an "
                f"extra of this package, for example .venv/bin/pip install -e '.[dask]'. "
                f"Received: --runner={runner}"
            ) from error

    options = _parsed(flags)
    logger = logging.getLogger("apache_beam.options.pipeline_options")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        known = options.get_all_options()
        unknown = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
    finally:
        logger.disabled = was_disabled
    for name in sorted(unknown):
        near = difflib.get_close_matches(name, list(known), n=1)
        raise ValueError(
            f"Beam and {runner} must know every flag after `--`. Received: --{name}"
            + (f"; did you mean --{near[0]}?" if near else "")
        )
    options.view_as(StandardOptions).runner = runner
    return runner, options


def _parsed(flags: list[str]) -> PipelineOptions:
    """Parses flags; a value that Beam cannot read would otherwise end the process."""
    from apache_beam.options.pipeline_options import PipelineOptions

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            options = PipelineOptions(flags)
            options.get_all_options()
    except SystemExit as error:
        reason = complaint.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(
            f"Beam must be able to read its flags: {reason}. Received: {flags}"
        ) from error
    return options


def loses_bundle_ends(runner: str) -> bool:
    """Whether a runner drops what a DoFn yields in `finish_bundle`, as Beam's Dask runner does."""
    return runner == DASK_RUNNER


def run(
    context: ExecutionContext,
    build: Callable[[beam.Pipeline, bool, str], beam.PCollection],
    output: str,
    describe: Callable[[int], tuple[float | None, str]],
) -> list[dict[str, Any]]:
    """Builds and runs one Beam pipeline and waits for its end.

    What a pipeline found out comes back as rows that its last step writes to a file, so that every
    runner can return them, also one without metrics. Beam's user counters go to `context.counters`
    where the runner has them.

    Args:
        context: the execution; `beam_arguments` holds the Beam flags.
        build: `build(pipeline, immediately, token)` adds the transforms and returns a PCollection
            of rows (dicts of JSON values). Everything that the pipeline does must lead to these
            rows: Beam's Dask runner runs only what the last transform depends on. `immediately` is
            `True` if the runner loses what is yielded at a bundle's end. `token` is what a DoFn
            hands to `advance`.
        output: name of the output whose folder takes the file of rows while the pipeline runs.
        describe: turns a number of examples done into fraction and text of the progress.

    Returns:
        The rows, sorted.

    Raises:
        ValueError: a Beam flag is unknown.
        BadDataError: the pipeline raised it, in whatever process.
        KeyboardInterrupt: Ctrl-C, also where it reached a step of the pipeline.
        RuntimeError: the pipeline failed.
    """
    beam = load_beam()
    from apache_beam.io.filesystems import FileSystems

    from .beam_transforms import WriteOutcomes

    runner, options = runner_and_options(context.beam_arguments)
    path = context.outputs[output].path(_OUTCOMES)
    pipeline = beam.Pipeline(runner=runner, options=options)
    with _Progress(lambda done: context.progress(*describe(done))) as token:
        try:
            rows = build(pipeline, loses_bundle_ends(runner), token)
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
    context.counters.update(_user_counters(result))
    with filesystem.open_file(path) as reader:
        found = json.load(reader)
    FileSystems.delete([path])
    return found


def advance(token: str, count: int) -> None:
    """Tells how many further examples are done; without effect in another process."""
    progress = _progress.get(token)
    if progress is not None:
        progress(count)


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


class _Progress:
    """Adds up what `advance` tells from any thread, for as long as a pipeline runs."""

    def __init__(self, show: Callable[[int], None]):
        self._show = show
        self._token = uuid.uuid4().hex
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> str:
        _progress[self._token] = self._add
        return self._token

    def __exit__(self, *error: object) -> None:
        del _progress[self._token]

    def _add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._show(self._done)


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
    labels = [found["label"] for found in _WHILE_RUNNING.finditer(text)]
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
