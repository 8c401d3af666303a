"""Draws what images are put together from, as Figure 1 of Lee & Seung 1999 does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ....charts.images import Cell, image_grid
from ....charts.palette import INK
from ....charts.svg import drawing, picture, text

KINDS = {
    "nmf": "Non-negative matrix factorization",
    "pca": "Principal components",
    "vq": "Vector quantization",
}
_SIDE = 300
_SMALL = 110
_GAP = 26
_TEXT = 20


def plot(values: Mapping[str, Any]) -> dict[str, str]:
    """Draws the components of each kind, and an image as their sum.

    Args:
        values: what `plotted.plotted` returns.

    Returns:
        A dict from title to SVG text.
    """
    drawn = {}
    for entry in values["kinds"]:
        name = KINDS[entry["kind"]]
        mean = "; their sum is added to the mean image" if entry["kind"] == "pca" else ""
        title = (
            f"{name}, and image {entry['id']} as their sum: a component covers "
            f"{100 * entry['coverage']:.0f} % of the pixels{mean}. Light is positive, red negative"
        )
        drawn[title] = draw_components(name, entry)
    return drawn


def draw_components(name: str, entry: Mapping[str, Any]) -> str:
    """Draws all components, the codes of one image in the same grid, and what they add up to.

    Args:
        name: what the components are.
        entry: of `plotted.plotted`.

    Returns:
        SVG text.
    """
    rank, (height, width) = entry["rank"], entry["size"]
    columns = math.ceil(math.sqrt(rank))
    lines = -(-rank // columns)
    tall = _SIDE * lines * (height + 1) / (columns * (width + 1))
    small_tall = _SMALL * height / width
    middle = _TEXT + max(tall, small_tall) / 2
    caption = f"{name}: all {rank} components"
    parts = [
        text(_SIDE / 2, _TEXT - 6, f"{rank} components"),
        picture(entry["components"], 0, _TEXT, _SIDE, tall, caption),
    ]
    operands = [
        ("×", entry["codes"], _SMALL * lines / columns, "codes of one image"),
        ("=", entry["reconstruction"], small_tall, "their sum"),
        ("≈", entry["image"], small_tall, "the image"),
    ]
    for place, (sign, address, high, caption) in enumerate(operands):
        left, top = _SIDE + _GAP + place * (_SMALL + _GAP), middle - high / 2
        parts.append(text(left - _GAP / 2, middle + 6, sign, color=INK, font_size=18))
        parts.append(text(left + _SMALL / 2, top - 6, caption))
        parts.append(picture(address, left, top, _SMALL, high, caption))
    total_height = max(tall, small_tall) + 2 * _TEXT
    return drawing(_SIDE + 3 * (_SMALL + _GAP), total_height, name, parts)


def evaluation_figures(rows: Sequence[Mapping[str, Any]], most: int = 24) -> dict[str, str]:
    """Draws the images that were put together worst, each above what came out."""
    cells = [
        Cell(
            [row["details"]["image"], row["details"]["reconstruction"]],
            row["id"],
            f"error {row['error']:.3f}",
        )
        for row in rows
        if (row.get("details") or {}).get("image")
    ][:most]
    if not cells:
        return {}
    title = "The images that were put together worst, each above what came out"
    return {title: image_grid(cells, title, side=90, margin=6, stacked=True)}
