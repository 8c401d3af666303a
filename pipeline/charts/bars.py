"""Charts of bars, and histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from .axes import HEIGHT, WIDTH, Axes, legend
from .palette import ACCENT, CARD, INK, LINE, MUTED
from .svg import drawing, element, line, number, picture, rectangle, text

_MOST_LABELS = 41
_PICTURE = 72


def bar(
    value: float | None,
    maximum: float,
    title: str,
    *,
    reference: float | None = None,
    height: int = 14,
) -> str:
    """Draws one horizontal bar that is as wide as its place, with a mark at a reference.

    Args:
        value: length of the bar, in [0, maximum]; `None` draws no bar.
        maximum: the value that fills the whole width.
        title: what the bar shows, for those who cannot see it.
        reference: where the mark stands, for instance the paper's number.
        height: height in CSS pixels.
    """

    def share(of: float | None) -> str | None:
        if of is None or maximum <= 0 or not math.isfinite(of):
            return None
        return f"{100 * min(max(of / maximum, 0), 1):.2f}%"

    inset, parts = 3, []
    thick = height - 2 * inset
    for width, color, opacity in (("100%", LINE, 0.55), (share(value), ACCENT, None)):
        if width is not None:
            parts.append(rectangle(0, inset, width, thick, color, rx=2, opacity=opacity))
    if (place := share(reference)) is not None:
        mark = rectangle(-1.5, 0, 3, height, INK, stroke=CARD)
        parts.append(element("svg", mark, x=place, overflow="visible"))
    return drawing("100%", height, title, parts)


def bar_chart(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    title: str,
    show: Callable[[float], str] = number,
    *,
    maximum: float | None = None,
    x_name: str = "",
    pictures: Sequence[str | None] = (),
    height: int = 180,
) -> str:
    """Draws groups of bars, the first series in the accent color.

    Args:
        labels: a text a group.
        series: by name a value a group, not negative; `None` for no bar.
        title: what the chart shows, for those who cannot see it.
        show: writes a value.
        maximum: value of the highest bar that fits; by default that of the data.
        x_name: what the groups are by.
        pictures: a `data:` address a group, drawn above its bars; where there are pictures, each
            bar has its value above it.
        height: of the highest bar, in CSS pixels.
    """
    least = _PICTURE + 20 if pictures else 12
    group = max(least, min(64, 640 // max(1, len(labels))))
    thick = (group - (20 if pictures else 4)) / max(1, len(series))
    values = [value for heights in series.values() for value in heights if value is not None]
    highest = maximum or max(values, default=0.0) or 1.0
    top = (_PICTURE + 20 if pictures else 8) + (18 if len(series) > 1 else 0)
    count = len(labels)
    width = max(50 + group * count, 130 * len(series)) + 8
    axes = Axes((0, count), (0, highest), 50 + group * count + 8, top + height, 50, top)
    parts = axes.rows({part * highest: show(part * highest) for part in (0.0, 0.5, 1.0)})
    for place, (name, heights) in enumerate(series.items()):
        color, opacity = (ACCENT, None) if place == 0 else (MUTED, 0.8 / place)
        for index, value in enumerate(heights):
            if value is None:
                continue
            x = axes.x(index) + (group - thick * len(series)) / 2 + place * thick
            tooltip = f"{labels[index]} {name}: {show(value)}".strip()
            y = axes.y(value)
            parts.append(
                rectangle(
                    x, y, thick - 1, axes.bottom - y, color, title=tooltip, fill_opacity=opacity
                )
            )
            if pictures:
                parts.append(text(x + thick / 2, y - 4, show(value), color=INK))
        if len(series) > 1:
            sign = rectangle(-6, -5, 12, 10, color, fill_opacity=opacity)
            parts += legend(axes.left + 120 * place, 12, [(sign, name)])
    for index, address in enumerate(pictures):
        if address:
            x = axes.x(index + 0.5) - _PICTURE / 2
            parts.append(
                picture(address, x, top - _PICTURE - 18, _PICTURE, _PICTURE, labels[index])
            )
    every = -(-count // _MOST_LABELS)
    for index, label in enumerate(labels):
        if index % max(1, every) == 0:
            size = None if group > 30 else 8
            parts.append(text(axes.x(index + 0.5), axes.bottom + 16, label, font_size=size))
    if x_name:
        parts.append(text(axes.x(count / 2), axes.bottom + 34, x_name))
    return drawing(width, axes.bottom + (40 if x_name else 24), title, parts)


def histogram(
    buckets: Sequence[tuple[float, float, float]], title: str, width: int = 150, height: int = 40
) -> str:
    """Draws a histogram whose bars are as wide as their buckets.

    Args:
        buckets: `(low, high, count)` of each bucket, in order; a bucket of no width gets a thin
            bar.
        title: what the chart shows, for those who cannot see it.
        width: width in CSS pixels.
        height: height in CSS pixels.

    Returns:
        An `<svg>` element; with the lowest and the highest value below the bars.
    """
    kept = [
        (low, high, count)
        for low, high, count in buckets
        if math.isfinite(low) and math.isfinite(high) and count >= 0
    ]
    if not kept:
        return ""
    least, most = min(low for low, _, _ in kept), max(high for _, high, _ in kept)
    top = max(count for _, _, count in kept) or 1
    span, floor = (most - least) or 1, height - 12
    parts = []
    for low, high, count in kept:
        x = (low - least) / span * width if most > least else width * 0.4
        wide = max((high - low) / span * width - 0.6, 1.5) if most > least else width * 0.2
        tall = count / top * (floor - 1)
        if count:
            tall = max(tall, 1)
        parts.append(rectangle(min(x, width - wide), floor - tall, wide, tall, ACCENT))
    parts.append(line(0, floor, width, floor))
    parts.append(text(0, height - 2, number(least), "start", font_size=9))
    if most > least:
        parts.append(text(width, height - 2, number(most), "end", font_size=9))
    return drawing(width, height, title, parts)


def histograms(
    counts: Mapping[str, Sequence[int]],
    edges: Sequence[float],
    title: str,
    *,
    x_labels: Mapping[float, str],
    x_name: str,
    marked_x: float | None = None,
    mark: str = "",
) -> str:
    """Draws histograms over one another, the last in the accent color.

    Args:
        counts: counts a bucket by the histogram's name.
        edges: those of the buckets, one more than there are buckets, ascending.
        title: what the chart shows, for those who cannot see it.
        x_labels: labels of the x axis by value.
        x_name: what the x axis is.
        marked_x: value that gets a dotted line, for instance a threshold.
        mark: what stands above the dotted line.
    """
    most = max(map(max, counts.values()))
    axes = Axes((edges[0], edges[-1]), (0, most * 1.09), WIDTH, HEIGHT + 18, top=18)
    parts = axes.rows({count: number(count) for count in sorted({0, round(most / 2), most})})
    parts += axes.columns(x_labels, x_name, lines=False)
    entries = []
    for index, (name, own) in enumerate(counts.items()):
        color, opacity = (ACCENT, 0.8) if index == len(counts) - 1 else (MUTED, 0.55)
        entries.append((rectangle(-6, -5, 12, 10, color, fill_opacity=opacity), name))
        for low, high, count in zip(edges, edges[1:], own, strict=False):
            if count:
                x, y = axes.x(low) + 0.5, axes.y(count)
                parts.append(
                    rectangle(
                        x,
                        y,
                        axes.x(high) - x - 0.5,
                        axes.bottom - y,
                        color,
                        title=f"{low:.2f} to {high:.2f}, {name}: {count:,}",
                        fill_opacity=opacity,
                    )
                )
    parts += legend(axes.right - 160, axes.top + 17, entries)
    if marked_x is not None:
        x = axes.x(marked_x)
        parts.append(line(x, axes.top, x, axes.bottom, INK, stroke_dasharray="4 3"))
        parts.append(text(x, axes.top - 4, mark, color=INK))
    return drawing(WIDTH, axes.bottom + 40, title, parts)
