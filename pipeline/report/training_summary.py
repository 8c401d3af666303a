"""What a method says of all its fits, for the report and the results page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Table:
    """A table about the training, for the report and the results page.

    Args:
        title: one line.
        columns: headings.
        rows: cells by row, each a string, a number, or `None` for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]


@dataclasses.dataclass(frozen=True)
class TrainingSummary:
    """What a method says of all its fits, beside one chart a fit.

    Args:
        tables: for the report and the results page.
        figures: SVG texts by title, for the report.
    """

    tables: Sequence[Table] = ()
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
