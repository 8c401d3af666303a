"""Checks Beam flags before anything runs: Beam itself passes over flags that it does not know."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence

from ..components.component import did_you_mean


def check_beam_flags(arguments: Sequence[str]) -> None:
    """Checks that Beam knows all flags and can read their values.

    Raises:
        ValueError: a flag is unknown or has a wrong value.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            known = PipelineOptions(list(arguments)).get_all_options()
    except SystemExit as error:
        lines = complaints.getvalue().strip().splitlines()
        reason = lines[-1].partition("error: ")[2] if lines else str(error)
        raise ValueError(f"Beam cannot read its flags: {reason}") from error
    before = ""
    for argument in arguments:
        is_flag = argument.startswith("--")
        takes_value = before.startswith("--") and "=" not in before
        before = argument
        if not is_flag and not takes_value:
            raise ValueError(f"Beam flags begin with `--`. Received: {argument!r}")
        if not is_flag:
            continue
        name = argument[2:].partition("=")[0].replace("-", "_")
        if name not in known and name.removeprefix("no_") not in known:
            raise ValueError(
                f"Beam has no flag --{name}{did_you_mean(name, known)} Received: {argument!r}"
            )
