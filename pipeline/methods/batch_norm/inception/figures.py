"""The table beside Figure 3, Figure 2, and images that were classified wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....charts.lines import line_chart
from ....report.training_summary import Table, TrainingSummary
from ...image_classification.figures import evaluation_figures
from ..figures import measured, steps_to
from .paper import BEST, STEPS
from .variants import BASELINE

__all__ = ["evaluation_figures", "training_summary"]


def training_summary(
    parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns the table beside Figure 3, and each network's accuracy by step."""
    measure = measured(logs)
    every = parameters.record_every
    lines = {name: [row[measure] for row in rows] for name, rows in logs.items()}
    drawn = {}
    baseline = {BASELINE: lines[BASELINE]} if BASELINE in lines else {}
    for name, line in lines.items():
        if name != BASELINE or len(lines) == 1:
            drawn[f"{measure} of {name} (colored) and of {BASELINE} (gray) by step; Figure 2"] = (
                line_chart(
                    {**baseline, name: line},
                    f"{measure} of {name} by step",
                    y_range=(0.0, 1.0),
                    first_x=every,
                    x_step=every,
                    width=560,
                    height=200,
                )
            )
    return TrainingSummary([variants_table(parameters, lines, measure)], drawn)


def variants_table(parameters: Any, lines: Mapping[str, Sequence[float]], measure: str) -> Table:
    """Returns by network the steps to the baseline's best accuracy and its own best one."""
    every = parameters.record_every
    goal = max(lines[BASELINE]) if BASELINE in lines else None
    baseline_steps = steps_to(goal, lines[BASELINE], every) if goal is not None else None
    rows: list[list[Any]] = []
    for name, line in lines.items():
        steps = steps_to(goal, line, every) if goal is not None else None
        paper_steps = STEPS.get(name)
        rows.append(
            [
                name,
                steps if steps is not None else "not reached",
                baseline_steps / steps if steps and baseline_steps else None,
                max(line),
                every * (list(line).index(max(line)) + 1),
                f"{paper_steps:g} M" if paper_steps else "not reached" if name in BEST else None,
                STEPS[BASELINE] / paper_steps if paper_steps else None,
                BEST.get(name),
            ]
        )
    columns = [
        "network",
        f"steps to {BASELINE}'s best",
        "times fewer",
        f"best {measure}",
        "at step",
        "paper: steps to 72.2 %",
        "paper: times fewer",
        "paper: best (ImageNet)",
    ]
    reached = "" if goal is None else f"; {BASELINE}'s best is {goal:.4f}"
    return Table(f"{measure} by step, looked at every {every:,} steps{reached}", columns, rows)
