"""Checks Beam flags before anything runs: Beam itself passes over flags that it does not know."""

from __future__ import annotations

from collections.abc import Sequence

from ...components.beam.options import runner_and_options


def check_beam_flags(arguments: Sequence[str]) -> None:
    """Checks that Beam, or the runner that is asked for, knows all flags and can read their values.

    Raises:
        ValueError: a flag is unknown or has a wrong value, or the runner cannot be imported.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if argument.startswith("--") and "-" in name[2:]:
            raise ValueError(
                f"Beam's flags are spelt with underscores; flags of methodical itself go before "
                f"the `--`. Received: {argument!r}"
            )
    runner_and_options(arguments)
