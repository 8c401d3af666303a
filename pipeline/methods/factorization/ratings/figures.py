"""Pictures for the report: how far predictions are off, and for whom."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from .metrics import RANKED

_ACCENT = "#d9730d"
_FONT = "ui-monospace, monospace"
_HEIGHT = 180
_LEFT, _TOP, _BOTTOM = 52, 14, 40
_BOUNDS = (0, 1, 5, 10, 20, 50, 100, 200, 500, 1000, math.inf)
_MOST_BARS = 41

Row = Mapping[str, Any]


def evaluation_figures(rows: Sequence[Row]) -> dict[str, str]:
    """Draws the errors, and metrics by how many ratings a user has.

    Args:
        rows: rows of an evaluation, as `evaluation.rows` yields them or as JSON gives them back.

    Returns:
        A dict from title to SVG text.
    """
    drawn: dict[str, str] = {}
    errors = error_counts(rows)
    if errors:
        total = sum(errors.values())
        drawn["Predicted minus true rating: share of the test ratings by difference"] = draw_bars(
            [f"{error:+g}" if error else "0" for error in errors],
            {"share": [count / total for count in errors.values()]},
            "Differences of predicted and true ratings",
            lambda share: f"{100 * share:.0f} %",
        )
    groups = by_activity(rows)
    for metric, kinds, title in (
        (
            "rmse",
            {"model": "", "biases only": "_bias", "global mean": "_global_mean"},
            "RMSE by the user's number of training ratings: the model (coloured), biases only, "
            "global mean",
        ),
        (
            f"ndcg_at_{RANKED}",
            {"model": "", "popularity": "_popularity"},
            f"NDCG@{RANKED} by the user's number of training ratings: the model (coloured), "
            "popularity",
        ),
    ):
        series = {
            kind: [mean(group, f"{metric}{name}") for group in groups.values()]
            for kind, name in kinds.items()
        }
        if any(value is not None for values in series.values() for value in values):
            drawn[title] = draw_bars(list(groups), series, title, lambda value: f"{value:.2f}")
    return drawn


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
    found = [row[metric] for row in rows if row.get(metric) is not None]
    pairs = [value if isinstance(value, (list, tuple)) else (value, 1) for value in found]
    pairs = [(value, count) for value, count in pairs if value is not None and count]
    total = sum(count for _, count in pairs)
    if not total:
        return None
    if metric.startswith("rmse"):
        return math.sqrt(sum(value**2 * count for value, count in pairs) / total)
    return sum(value * count for value, count in pairs) / total


def draw_bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    title: str,
    written: Callable[[float], str],
) -> str:
    """Draws groups of bars as SVG, the first series in colour.

    Args:
        labels: a text a group.
        series: by name a value a group, not negative; `None` for no bar.
        title: what is drawn.
        written: turns a value into text.
    """
    if len(labels) > _MOST_BARS:
        step = -(-len(labels) // _MOST_BARS)
        labels = [label if index % step == 0 else "" for index, label in enumerate(labels)]
    group = max(12, min(64, 640 // max(1, len(labels))))
    bar = (group - 4) / max(1, len(series))
    width = _LEFT + group * len(labels) + 8
    values = [value for found in series.values() for value in found if value is not None]
    highest = max(values, default=0.0) or 1.0
    base = _TOP + _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {base + _BOTTOM:g}" '
        f'width="{width:g}" height="{base + _BOTTOM:g}" role="img" font-size="11" '
        f'font-family="{_FONT}" fill="currentColor"><title>{escape(title)}</title>'
    ]
    for part in (0.0, 0.5, 1.0):
        y = base - part * _HEIGHT
        parts.append(
            f'<line x1="{_LEFT}" x2="{width:g}" y1="{y:g}" y2="{y:g}" stroke="currentColor" '
            f'opacity="0.2"/><text x="{_LEFT - 6}" y="{y + 4:g}" text-anchor="end" '
            f'opacity="0.75">{escape(written(part * highest))}</text>'
        )
    for number, (name, found) in enumerate(series.items()):
        color, opacity = (_ACCENT, 1.0) if number == 0 else ("currentColor", 0.5 / number)
        for index, value in enumerate(found):
            if value is None:
                continue
            height = value / highest * _HEIGHT
            x = _LEFT + index * group + 2 + number * bar
            said = escape(f"{labels[index]} {name}: {written(value)}".strip())
            parts.append(
                f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{bar - 1:.1f}" '
                f'height="{height:.1f}" fill="{color}" opacity="{opacity:.2f}">'
                f"<title>{said}</title></rect>"
            )
    for index, label in enumerate(labels):
        x = _LEFT + (index + 0.5) * group
        parts.append(
            f'<text x="{x:g}" y="{base + 16}" text-anchor="middle" font-size="'
            f'{11 if group > 30 else 8}" opacity="0.75">{escape(label)}</text>'
        )
    return "".join([*parts, "</svg>"])
