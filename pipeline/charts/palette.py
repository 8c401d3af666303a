"""The colors of reports and their drawings, in light and in dark."""

from __future__ import annotations

import colorsys

LIGHT = {
    "page": "#f8f8f6", "card": "#ffffff", "ink": "#1b1e22", "muted": "#5c646d", "line": "#dcdfe3",
    "accent": "#3451b2", "second": "#cf6a0c", "wash": "#eef1fb",
    "good": "#17683d", "bad": "#b3261e", "warn": "#7a5200",
    "good-wash": "#e4f3ea", "bad-wash": "#fbe9e7", "warn-wash": "#faf0d7",
}  # fmt: skip
DARK = {
    "page": "#121417", "card": "#1a1d21", "ink": "#e8eaed", "muted": "#9ea7b1", "line": "#31363d",
    "accent": "#93abff", "second": "#f0994a", "wash": "#20263a",
    "good": "#6fd39b", "bad": "#ff9b90", "warn": "#e8bd70",
    "good-wash": "#16301f", "bad-wash": "#3a1d1b", "warn-wash": "#33280f",
}  # fmt: skip

CARD, INK, MUTED, LINE, ACCENT, SECOND = (
    f"var(--{name},{LIGHT[name]})" for name in ("card", "ink", "muted", "line", "accent", "second")
)
"""`ACCENT` is for what a drawing is about, `SECOND` for what is wrong in it."""


def css() -> str:
    """Returns the rules that give a page the colors, dark ones to readers who prefer them."""
    light, dark = (
        " ".join(f"--{name}: {color};" for name, color in colors.items())
        for colors in (LIGHT, DARK)
    )
    preferred = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    return f":root {{ {light} }}\n{preferred}\n"


def hue(number: int, count: int) -> str:
    """Returns a color that stands out from its neighbors, on dark and on light.

    Args:
        number: of the color, from 0.
        count: how many colors go once round the circle.
    """
    lightness, saturation = ((0.42, 0.85), (0.6, 0.6))[number % 2]
    channels = colorsys.hls_to_rgb(number / count, lightness, saturation)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
