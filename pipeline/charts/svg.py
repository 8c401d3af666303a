"""The elements of drawings as text: the one place that escapes, and that writes numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from .palette import INK, LINE, MUTED

FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
CHARACTER = 0.62
"""Width of a character of this font, in units of its size."""


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


def shortened(text: str, most: int = 12) -> str:
    """Returns a text of at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def element(tag: str, *inside: str, title: str | None = None, **attributes: Any) -> str:
    """Returns an element.

    Args:
        tag: its name.
        *inside: what it holds, as markup.
        title: what it says when it is pointed at.
        **attributes: by name, `_` for `-`; numbers are rounded, `None` leaves one out.
    """
    if title is not None:
        inside = (f"<title>{escape(title)}</title>", *inside)
    written = "".join(
        f' {name.replace("_", "-")}="{_written(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{''.join(inside)}</{tag}>" if inside else f"<{tag}{written}/>"


def drawing(
    width: float | str, height: float, title: str, parts: Iterable[str], font_size: float = 11
) -> str:
    """Returns a whole drawing.

    Args:
        width: in CSS pixels; a text such as `100%` stretches it.
        height: in CSS pixels.
        title: what is drawn, for those who cannot see it.
        parts: elements.
        font_size: in CSS pixels.
    """
    stretched = isinstance(width, str)
    return element(
        "svg",
        *parts,
        **{"class": "chart", "xmlns": "http://www.w3.org/2000/svg", "role": "img"},
        width=width,
        height=height,
        viewBox=None if stretched else f"0 0 {_written(width)} {_written(height)}",
        aria_label=title,
        font_family=FONT,
        font_size=font_size,
        fill=INK,
    )


def text(
    x: float, y: float, content: str, anchor: str = "middle", color: str = MUTED, **attributes: Any
) -> str:
    """Returns a text whose baseline's start, middle or end is at a place."""
    return element("text", escape(content), x=x, y=y, text_anchor=anchor, fill=color, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, color: str = LINE, **attributes: Any) -> str:
    """Returns a line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=color, **attributes)


def polyline(points: Sequence[tuple[float, float]], color: str, **attributes: Any) -> str:
    """Returns a line through points."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=joined, fill="none", stroke=color, **attributes)


def rectangle(
    x: float, y: float, width: float | str, height: float, color: str, **attributes: Any
) -> str:
    """Returns a filled rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, fill=color, **attributes)


def circle(x: float, y: float, radius: float, color: str, **attributes: Any) -> str:
    """Returns a filled circle."""
    return element("circle", cx=x, cy=y, r=radius, fill=color, **attributes)


def picture(address: str, x: float, y: float, width: float, height: float, title: str) -> str:
    """Returns an image, given as a `data:` address, with its pixels as they are."""
    return element(
        "image",
        title=title,
        href=address,
        x=x,
        y=y,
        width=width,
        height=height,
        preserveAspectRatio="none",
        style="image-rendering:pixelated",
    )


def _written(value: Any) -> str:
    return f"{round(value, 2):.7g}" if isinstance(value, (int, float)) else escape(str(value))
