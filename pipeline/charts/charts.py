"""Small inline SVG charts for reports and documents.

Each function returns one `<svg>` element as text. Colours are CSS variables with fallbacks
(`--accent`, `--muted`, `--ink`, `--line`), so that a page in dark or light recolours them and a
file that holds nothing but the SVG still shows. All text that is passed in is escaped. There are no
scripts, no links and nothing is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape

ACCENT = "var(--accent,#0b6e6e)"
MUTED = "var(--muted,#6b7280)"
INK = "var(--ink,#1a1d21)"
LINE = "var(--line,#d9dce1)"
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number as people read it: `0.968`, `0.900`, `1,234`, `1.23e-07`, `12.3`.

    Args:
        value: the number; `None` and NaN give `–`.
        digits: significant digits of numbers that are not whole.

    Returns:
        The text, without a unit.

    Example:
        >>> number(20000), number(0.9), number(1.234e-7), number(1.0)
        ('20,000', '0.900', '1.23e-07', '1')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) < 1e-3 or abs(value) >= 1e9:
        return f"{value:.{digits - 1}e}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{min(decimals, digits)}f}"


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

    Lines are grey, and those that matter in the accent colour; later ones lie above earlier ones.

    Args:
        series: values by the line's name; `None` and NaN leave a gap.
        title: what the chart shows, for those who cannot see it.
        y_range: lowest and highest value of the axis; by default those of the data.
        first_x: x of the first value.
        x_step: how far the x of a value lies behind that of the one before.
        marked_x: x that gets a dotted line, for instance the best epoch.
        accented: names of the lines in the accent colour; `None`: the last.
        width: width in CSS pixels.
        height: height in CSS pixels.

    Returns:
        An `<svg>` element.
    """
    values = {name: [_finite(value) for value in line] for name, line in series.items()}
    present = [value for line in values.values() for value in line if value is not None]
    if not present:
        return _svg(width, height, title, [_text(width / 2, height / 2, "no values", "middle")])
    low, high = y_range or (min(present), max(present))
    if low == high:
        low, high = low - 0.5, high + 0.5
    count = max(len(line) for line in values.values())
    left, right, top, bottom = 42, width - 8, 8, height - 18

    def x_of(index: float) -> float:
        return left + (right - left) * (index / (count - 1) if count > 1 else 0.5)

    def y_of(value: float) -> float:
        clipped = min(max(value, low), high)
        return bottom - (bottom - top) * (clipped - low) / (high - low)

    parts = []
    marked = (low, (low + high) / 2, high)
    for value, label in zip(marked, _labels(marked), strict=True):
        y = y_of(value)
        parts.append(_line(left, y, right, y, LINE))
        parts.append(_text(left - 5, y + 3.5, label, "end"))
    parts.append(_text(left, height - 4, number(first_x), "start"))
    if count > 1:
        parts.append(_text(right, height - 4, number(first_x + (count - 1) * x_step), "end"))
    if marked_x is not None and 0 <= marked_x - first_x <= (count - 1) * x_step:
        x = x_of((marked_x - first_x) / x_step)
        parts.append(_line(x, top, x, bottom, ACCENT, 'stroke-dasharray="2 2"'))
        if 0.12 < (x - left) / (right - left) < 0.88:
            parts.append(_text(x, height - 4, number(marked_x), "middle", ACCENT))
    chosen = [next(reversed(values))] if accented is None else accented
    for name, line in values.items():
        color, thickness = (ACCENT, 1.8) if name in chosen else (MUTED, 1.2)
        for run in _runs(line):
            points = [(x_of(index), y_of(value)) for index, value in run]
            if len(points) == 1:
                x, y = points[0]
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" style="fill:{color}"/>')
                continue
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(
                f'<polyline points="{path}" style="fill:none;stroke:{color};'
                f'stroke-width:{thickness};stroke-linejoin:round"/>'
            )
    return _svg(width, height, title, parts)


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
        x = min(x, width - wide)
        parts.append(_rect(x, floor - tall, wide, tall, ACCENT))
    parts.append(_line(0, floor, width, floor, LINE))
    parts.append(_text(0, height - 2, number(least), "start", size=9))
    if most > least:
        parts.append(_text(width, height - 2, number(most), "end", size=9))
    return _svg(width, height, title, parts)


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

    Returns:
        An `<svg>` element of width 100 %.
    """
    inset = 3
    parts = [
        f'<rect x="0" y="{inset}" width="100%" height="{height - 2 * inset}" rx="2"'
        f' style="fill:{LINE};opacity:.55"/>'
    ]
    if value is not None and maximum > 0 and math.isfinite(value):
        share = min(max(value / maximum, 0), 1) * 100
        parts.append(
            f'<rect x="0" y="{inset}" width="{share:.2f}%" height="{height - 2 * inset}" rx="2"'
            f' style="fill:{ACCENT}"/>'
        )
    if reference is not None and maximum > 0 and math.isfinite(reference):
        share = min(max(reference / maximum, 0), 1) * 100
        parts.append(
            f'<svg x="{share:.2f}%" overflow="visible"><rect x="-1.5" y="0" width="3"'
            f' height="{height}" style="fill:{INK};stroke:var(--card,#fff);stroke-width:1"/></svg>'
        )
    return (
        f'<svg class="chart bar" width="100%" height="{height}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def bar_pairs(
    rows: Sequence[tuple[str, float | None, float | None]],
    title: str,
    *,
    maximum: float = 1.0,
    names: tuple[str, str] = ("ours", "paper"),
    width: int = 640,
) -> str:
    """Draws a bar and a reference mark for each of several things, one below another.

    Args:
        rows: `(label, value, reference)`; `None` draws no bar or no mark.
        title: what the chart shows, for those who cannot see it.
        maximum: the value that fills the whole width.
        names: what the bars and the marks are, for the legend.
        width: width in CSS pixels.

    Returns:
        An `<svg>` element.
    """
    label_width = 12 + 6.2 * max([len(label) for label, _, _ in rows], default=0)
    left, right, step, top = label_width, width - 56, 20, 24
    parts = [
        _rect(left, 6, 16, 8, ACCENT),
        _text(left + 22, 14, names[0], "start"),
        _rect(left + 34 + 6.2 * len(names[0]), 3, 3, 14, INK),
        _text(left + 44 + 6.2 * len(names[0]), 14, names[1], "start"),
    ]
    for index, (label, value, reference) in enumerate(rows):
        y = top + index * step
        parts.append(_text(left - 8, y + 13, label, "end"))
        parts.append(_rect(left, y + 4, right - left, 12, LINE, opacity=0.55))
        if value is not None:
            share = min(max(value / maximum, 0), 1)
            parts.append(_rect(left, y + 4, (right - left) * share, 12, ACCENT))
        if reference is not None:
            x = left + (right - left) * min(max(reference / maximum, 0), 1)
            parts.append(_rect(x - 1.5, y + 1, 3, 18, INK))
        parts.append(_text(width - 2, y + 14, number(value), "end", INK))
    return _svg(width, top + len(rows) * step + 4, title, parts)


def _labels(values: Sequence[float]) -> list[str]:
    """Writes the values of an axis with two digits, or as many as tell them apart."""
    for digits in range(2, 6):
        labels = [number(value, digits) for value in values]
        if len(set(labels)) == len(labels):
            break
    return labels


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _runs(line: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(line):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{width:g}"'
        f' height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, color: str = MUTED, size: float = 10) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        f' style="font:{size:g}px {FONT};fill:{color}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}'
        f' style="stroke:{color};stroke-width:1"/>'
    )


def _rect(x: float, y: float, width: float, height: float, color: str, opacity: float = 1) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' style="fill:{color};opacity:{opacity:g}"/>'
    )
