"""Axes, their labels and legends: what all charts have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .palette import ACCENT, MUTED
from .svg import line, number, text

WIDTH, HEIGHT = 560, 240
"""Of the area of a chart that stands alone, in CSS pixels."""

DASHES = (None, "6 3", "2 3", "8 3 2 3")
"""Strokes of the first line of a chart and of those that it is compared with."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """The area in which values are drawn.

    Args:
        x_range: values at the left and at the right edge.
        y_range: values at the lower and at the upper edge.
        width: in CSS pixels, of the drawing.
        bottom: y of the lower edge.
        left: x of the left edge.
        top: y of the upper edge.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float
    bottom: float
    left: float = 42
    top: float = 8

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.width - 8

    def x(self, value: float) -> float:
        """Returns where a value lies; one that lies outside lies on the edge."""
        return self.left + (self.right - self.left) * _share(value, self.x_range)

    def y(self, value: float) -> float:
        """Returns where a value lies; one that lies outside lies on the edge."""
        return self.bottom - (self.bottom - self.top) * _share(value, self.y_range)

    def rows(self, labels: Mapping[float, str] | Sequence[float]) -> list[str]:
        """Returns a line across for each value, with its label at the left."""
        return [
            part
            for value, label in _labelled(labels).items()
            for part in (
                line(self.left, self.y(value), self.right, self.y(value)),
                text(self.left - 5, self.y(value) + 3.5, label, "end"),
            )
        ]

    def columns(self, labels: Mapping[float, str], name: str = "", lines: bool = True) -> list[str]:
        """Returns labels below the area, with lines through it, and below them the axis' name."""
        parts = [line(self.x(x), self.top, self.x(x), self.bottom) for x in labels if lines]
        parts += [text(self.x(x), self.bottom + 15, label) for x, label in labels.items()]
        return [*parts, text((self.left + self.right) / 2, self.bottom + 32, name)]


def legend(x: float, y: float, entries: Iterable[tuple[str, str]]) -> list[str]:
    """Returns entries one below another, each a sign 26 wide and 10 high and what it stands for.

    Args:
        x: of the left edge.
        y: of the first baseline.
        entries: pairs of a sign, drawn around (0, 0), and a text.
    """
    return [
        part
        for index, (sign, label) in enumerate(entries)
        for part in (
            f'<g transform="translate({x + 13:g} {y + 15 * index - 4:g})">{sign}</g>',
            text(x + 32, y + 15 * index, label, "start"),
        )
    ]


def stroke(number: int) -> dict[str, Any]:
    """Returns the color, width and dashes of a line, the first of which stands out."""
    first = not number
    return {
        "color": ACCENT if first else MUTED,
        "stroke_width": 2 if first else 1.2,
        "stroke_dasharray": DASHES[number % len(DASHES)],
    }


def _share(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _labelled(labels: Mapping[float, str] | Sequence[float]) -> Mapping[float, str]:
    """Writes values with two digits, or as many as tell them apart; what is about 0 as 0."""
    if isinstance(labels, Mapping):
        return labels
    least = (max(labels) - min(labels)) / 1000
    for digits in range(2, 6):
        written = {value: number(value if abs(value) > least else 0, digits) for value in labels}
        if len(set(written.values())) == len(written):
            break
    return written
