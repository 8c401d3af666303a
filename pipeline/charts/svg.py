"""What the drawings of faces have in common: one SVG that is read in dark and in light."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

ACCENT = "#d9730d"
FONT = "ui-monospace, monospace"


def number_of_pairs(number: int) -> str:
    """Returns a number of pairs in words."""
    return f"{number:,} pair{'' if number == 1 else 's'}"


def svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Returns an `<svg>` element of some size that holds some parts."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" font-size="11" '
        f'font-family="{FONT}" fill="currentColor"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def text(
    x: float, y: float, said: str, anchor: str = "middle", opacity: float = 0.75, more: str = ""
) -> str:
    """Returns a text; `more` are further attributes."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" opacity="{opacity:g}" {more}>'
        f"{escape(said)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, more: str = 'opacity="0.2"') -> str:
    """Returns a line in the colour of the text; `more` are further attributes."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f"{more}/>"
    )


def rectangle(x: float, y: float, width: float, height: float, title: str, more: str) -> str:
    """Returns a rectangle that says something when it is pointed at."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {more}>'
        f"<title>{escape(title)}</title></rect>"
    )


def picture(address: str, x: float, y: float, width: float, height: float, title: str) -> str:
    """Returns an image, given as a `data:` address, that says something when it is pointed at."""
    return (
        f'<image href="{escape(address)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"><title>{escape(title)}</title></image>'
    )
