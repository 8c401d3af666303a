"""Charts of lines: values over steps, and curves."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeGuard

from .axes import HEIGHT, WIDTH, Axes, legend, stroke
from .palette import ACCENT, INK, MUTED
from .svg import circle, drawing, line, number, polyline, text


def line_chart(
    series: Mapping[str, Sequence[float | None]],
    title: str,
    *,
    y_range: tuple[float, float] | None = None,
    first_x: int = 1,
    x_step: int = 1,
    marked_x: int | None = None,
    accented: Collection[str] | None = None,
    width: int = 260,
    height: int = 132,
) -> str:
    """Draws lines over whole numbers, for instance losses over epochs.

    Lines are gray, and those that matter in the accent color; later ones lie above earlier ones.

    Args:
        series: values by the line's name; `None` and NaN leave a gap.
        title: what the chart shows, for those who cannot see it.
        y_range: lowest and highest value of the axis; by default those of the data.
        first_x: x of the first value.
        x_step: how far the x of a value lies behind that of the one before.
        marked_x: x that gets a dotted line, for instance the best epoch.
        accented: names of the lines in the accent color; `None`: the last.
        width: width in CSS pixels.
        height: height in CSS pixels.
    """
    present = [value for values in series.values() for value in values if _is_finite(value)]
    if not present:
        return drawing(width, height, title, [text(width / 2, height / 2, "no values")])
    low, high = y_range or (min(present), max(present))
    if low == high:
        low, high = low - 0.5, high + 0.5
    last_x = first_x + (max(map(len, series.values())) - 1) * x_step
    axes = Axes((first_x, last_x), (low, high), width, height - 18)
    parts = axes.rows((low, (low + high) / 2, high))
    parts.append(text(axes.left, height - 4, number(first_x), "start"))
    if last_x > first_x:
        parts.append(text(axes.right, height - 4, number(last_x), "end"))
    if marked_x is not None and first_x <= marked_x <= last_x:
        x = axes.x(marked_x)
        parts.append(line(x, axes.top, x, axes.bottom, ACCENT, stroke_dasharray="2 2"))
        if 0.12 < (x - axes.left) / (axes.right - axes.left) < 0.88:
            parts.append(text(x, height - 4, number(marked_x), color=ACCENT))
    chosen = [list(series)[-1]] if accented is None else accented
    for name, values in series.items():
        color, thickness = (ACCENT, 1.8) if name in chosen else (MUTED, 1.2)
        points = [
            (axes.x(first_x + index * x_step), axes.y(value)) if _is_finite(value) else None
            for index, value in enumerate(values)
        ]
        for _, group in itertools.groupby(points, key=bool):
            run = [point for point in group if point is not None]
            if len(run) == 1:
                (x, y) = run[0]
                parts.append(circle(x, y, 2.2, color))
            elif run:
                parts.append(polyline(run, color, stroke_width=thickness, stroke_linejoin="round"))
    return drawing(width, height, title, parts)


@dataclasses.dataclass(frozen=True)
class Point:
    """A point on a curve with a label in the legend, with an interval of its y.

    Args:
        x: of the point.
        y: of the point.
        interval: lowest and highest y.
        label: what it is.
    """

    x: float
    y: float
    interval: tuple[float, float]
    label: str


def curve_chart(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    *,
    x_labels: Mapping[float, str],
    y_labels: Mapping[float, str],
    x_name: str,
    x_range: tuple[float, float],
    point: Point | None = None,
) -> str:
    """Draws curves through points with y in [0, 1], the first in color, with a legend below.

    Args:
        curves: points `(x, y)` by what the legend says of the curve.
        title: what the chart shows, for those who cannot see it.
        x_labels: labels of the x axis by value.
        y_labels: labels of the y axis by value.
        x_name: what the x axis is.
        x_range: values at the left and right edge.
        point: one that is marked.
    """
    axes = Axes(x_range, (0.0, 1.0), WIDTH, HEIGHT + 8)
    parts = [*axes.rows(y_labels), *axes.columns(x_labels, x_name)]
    for index, points in reversed(list(enumerate(curves.values()))):
        placed = dict.fromkeys((axes.x(x), axes.y(y)) for x, y in points)
        parts.append(polyline(list(placed), **stroke(index)))
    entries = [(line(-13, 0, 13, 0, **stroke(index)), label) for index, label in enumerate(curves)]
    if point is not None:
        x, (low, high) = axes.x(point.x), map(axes.y, point.interval)
        parts += [line(x - 5, y, x + 5, y, INK, stroke_width=1.5) for y in (low, high)]
        parts.append(line(x, low, x, high, INK, stroke_width=1.5))
        parts.append(circle(x, axes.y(point.y), 4, ACCENT))
        entries.append((circle(0, 0, 4, ACCENT), point.label))
    # Below the area: curves may pass anywhere in it.
    below = axes.bottom + 54
    parts += legend(axes.left, below, entries)
    return drawing(WIDTH, below + 15 * len(entries) - 8, title, parts)


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
