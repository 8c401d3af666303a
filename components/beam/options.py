"""Beam's runner and flags for the data stages.

The default runner is Beam's `FnApiRunner`, named explicitly: `DirectRunner` would first try to
download another runner. Beam's own flags go through as they are.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

DEFAULT_RUNNER = "FnApiRunner"
DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"


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
    for previous, argument in zip(["", *flags], flags, strict=False):
        belongs = previous.startswith("--") and "=" not in previous
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
