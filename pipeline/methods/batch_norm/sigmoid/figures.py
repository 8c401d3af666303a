"""The table of steps to each milestone, Figure 1, and images that were classified wrongly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ....charts.lines import line_chart
from ....report.training_summary import Table, TrainingSummary
from ...image_classification.figures import evaluation_figures
from ..figures import measured, steps_to
from .networks import WITH, WITHOUT

__all__ = ["evaluation_figures", "training_summary"]

MILESTONES = (0.95, 0.97, 0.975)
"""Test accuracies that the table says when they were reached."""


def training_summary(
    parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns the table of steps to each milestone, and Figure 1."""
    return TrainingSummary([milestones(parameters, logs)], training_figures(parameters, logs))


def milestones(parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Returns by network the steps after which each accuracy was first seen."""
    measure = measured(logs)
    every = parameters.record_every
    rows: list[list[Any]] = []
    for name, epochs in logs.items():
        values = [epoch[measure] for epoch in epochs]
        best = max(values)
        reached = [steps_to(least, values, every) for least in MILESTONES]
        rows.append([name, *reached, best, every * (values.index(best) + 1), values[-1]])
    if parameters.repeats > 1:
        rows += [
            mean_row(kind, rows)
            for kind in (WITH, WITHOUT)
            if any(name.startswith(f"{kind}_") for name in logs)
        ]
    rows = [["not reached" if cell is None else cell for cell in row] for row in rows]
    columns = [f"steps to {100 * least:g} %" for least in MILESTONES]
    title = (
        f"{measure} by step, looked at every {every:,} steps; learning rate "
        f"{parameters.learning_rate:g}, batches of {parameters.batch_size}"
    )
    return Table(title, ["network", *columns, "best", "at step", "last"], rows)


def mean_row(kind: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Returns the mean of a kind's rows; of steps that one did not reach there is none."""
    cells = zip(*(row[1:] for row in rows if row[0].startswith(f"{kind}_")), strict=True)
    means = [None if None in column else sum(column) / len(column) for column in cells]
    return [f"{kind}, mean", *means]


def training_figures(
    parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, str]:
    """Draws Figure 1: accuracy by step, and the percentiles of a sigmoid's input by step."""
    every = parameters.record_every
    scale: dict[str, Any] = {"first_x": every, "x_step": every, "width": 560, "height": 240}
    measure = measured(logs)
    lines = {name: [row[measure] for row in rows] for name, rows in logs.items()}
    # As in the paper the axis begins at 0.7: below it a line is not drawn. Short runs need it all.
    lowest = 0.7 if max(itertools.chain(*lines.values())) > 0.8 else 0.0
    title = (
        f"{measure} by step from {lowest:g} on, with batch normalization (colored) and without; "
        "Figure 1 (a)"
    )
    drawn = {
        title: line_chart(
            {
                name: [value if value >= lowest else None for value in line]
                for name, line in lines.items()
            },
            f"{measure} by step",
            y_range=(lowest, 1.0),
            accented=[name for name in lines if name.startswith(WITH)],
            **scale,
        )
    }
    layer = f"hidden_{parameters.hidden}_sigmoid"
    shown = {name: rows for name, rows in logs.items() if name.endswith("_1")}
    every_percentile = [
        [[row[f"{layer}/p{percentile}"] for row in rows] for percentile in (15, 50, 85)]
        for rows in shown.values()
    ]
    flat = [value for lines in every_percentile for line in lines for value in line]
    for name, percentiles in zip(shown, every_percentile, strict=True):
        drawn[
            f"{name}: the 15th, 50th and 85th percentile of the input of one sigmoid of the last "
            "hidden layer, by step; Figure 1 (b, c)"
        ] = line_chart(
            dict(zip(("p15", "p85", "p50"), [percentiles[k] for k in (0, 2, 1)], strict=True)),
            f"percentiles of {name} by step",
            y_range=(min(flat), max(flat)),
            **scale,
        )
    return drawn
