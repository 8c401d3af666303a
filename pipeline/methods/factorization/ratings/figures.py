"""Pictures for the report: how far predictions are off, and for whom."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ....charts.bars import bar_chart
from ....report.training_summary import Table, TrainingSummary
from .metrics import RANKED

_BOUNDS = (0, 1, 5, 10, 20, 50, 100, 200, 500, 1000, math.inf)

Row = Mapping[str, Any]


def training_summary(
    parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Says how the objective fell in each model."""
    rows = []
    for name, epochs in logs.items():
        losses = [epoch["loss"] for epoch in epochs]
        rising = sum(after > before * (1 + 1e-6) for before, after in itertools.pairwise(losses))
        rows.append([name, losses[0], losses[-1], len(losses), rising])
    columns = ["model", "first objective", "last objective", "records", "times it rose"]
    return TrainingSummary([Table("Objective a rating, by model", columns, rows)])


def evaluation_figures(rows: Sequence[Row]) -> dict[str, str]:
    """Draws the errors, and metrics by how many ratings a user has.

    Args:
        rows: rows of an evaluation, as `evaluation.rows` yields them or as JSON gives them back.

    Returns:
        A dict from title to SVG text.
    """
    figures: dict[str, str] = {}
    errors = error_counts(rows)
    if errors:
        total = sum(errors.values())
        title = "Predicted minus true rating: share of the test ratings by difference"
        figures[title] = bar_chart(
            [f"{error:+g}" if error else "0" for error in errors],
            {"share": [count / total for count in errors.values()]},
            title,
            lambda share: f"{100 * share:.0f} %",
        )
    groups = by_activity(rows)
    rmse = {"model": "", "biases only": "_bias", "global mean": "_global_mean"}
    ndcg = {"model": "", "popularity": "_popularity"}
    for metric, kinds in (("rmse", rmse), (f"ndcg_at_{RANKED}", ndcg)):
        series = {
            kind: [mean(group, f"{metric}{suffix}") for group in groups.values()]
            for kind, suffix in kinds.items()
        }
        if any(value is not None for values in series.values() for value in values):
            name = metric.upper().replace("_AT_", "@")
            title = f"{name} by the user's number of training ratings"
            figures[title] = bar_chart(list(groups), series, title, lambda value: f"{value:.2f}")
    return figures


def error_counts(rows: Sequence[Row]) -> dict[float, int]:
    """Returns the numbers of test ratings by rounded error, from the least to the largest."""
    counts: dict[float, int] = {}
    for row in rows:
        for error, count in (row.get("errors") or {}).items():
            counts[float(error)] = counts.get(float(error), 0) + count
    return dict(sorted(counts.items()))


def by_activity(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Returns the rows by the user's number of training ratings, as `20–49`."""
    groups: dict[str, list[Row]] = {}
    for low, high in itertools.pairwise(_BOUNDS):
        group = [row for row in rows if low <= row["training_ratings"] < high]
        if group:
            last = high - 1
            groups[f"{low}+" if last == math.inf else f"{low}" + f"–{last}" * (last > low)] = group
    return groups


def mean(rows: Sequence[Row], metric: str) -> float | None:
    """Returns a metric of some rows together, as the Evaluator does: `None` if none has it."""
    measured = [row[metric] for row in rows if row.get(metric) is not None]
    pairs = [value if isinstance(value, (list, tuple)) else (value, 1) for value in measured]
    pairs = [(value, count) for value, count in pairs if value is not None and count]
    total = sum(count for _, count in pairs)
    if not total:
        return None
    if metric.startswith("rmse"):
        return math.sqrt(sum(value**2 * count for value, count in pairs) / total)
    return sum(value * count for value, count in pairs) / total
