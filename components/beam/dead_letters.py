"""The dead letters: records that could not be used, one JSON row each, and the check on how many.

A row holds `source`, `position` and `reason`; rows of Transform also hold `split` and `index`, the
example's place within its file.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from ..base.artifacts import Examples
from ..base.errors import BadDataError
from ..io import filesystem
from . import sorted_runs


def path(examples: Examples) -> str:
    """Returns the path of the dead letters of an artifact."""
    return examples.path(Examples.DEAD_LETTERS)


def finish(examples: Examples) -> None:
    """Removes the runs, and leaves an empty file where there are no dead letters."""
    filesystem.remove_tree(examples.path(sorted_runs.RUNS))
    if not filesystem.exists(path(examples)):
        filesystem.open_file(path(examples), "w").close()


def first(examples: Examples, count: int = 3) -> list[dict[str, Any]]:
    """Reads the first dead letters of an artifact."""
    if not filesystem.exists(path(examples)):
        return []
    with filesystem.open_file(path(examples)) as reader:
        return [json.loads(line) for line in itertools.islice(reader, count)]


def describe(rows: list[dict[str, Any]]) -> str:
    """Returns dead letters as text: `stories.txt line 3: no answer. Received: …`."""
    return "\n".join(
        f"  {' '.join(filter(None, (row['source'], row['position'])))}: {row['reason']}"
        for row in rows
    )


def check(component: str, examples: Examples, good: int, bad: int, max_bad_fraction: float) -> None:
    """Raises an error if too many of the records are bad.

    Raises:
        BadDataError: `bad / (good + bad)` is above `max_bad_fraction`.
    """
    total = good + bad
    if not bad or bad <= max_bad_fraction * total:
        return
    fraction = bad / total
    enough = min(1.0, round(fraction + 0.005, 2))
    raise BadDataError(
        f"{component} could not use {bad:,} of {total:,} records ({fraction:.2%}), more than "
        f"max_bad_fraction={max_bad_fraction:g} allows. The first of them:\n"
        f"{describe(first(examples))}\n"
        f"Fix the data, or accept the loss with "
        f"--set {component}.max_bad_fraction={enough:g}."
    )
