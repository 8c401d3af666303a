"""Images: grids of them, and one with what was detected in it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from .palette import SECOND, hue
from .svg import CHARACTER, drawing, element, picture, rectangle, shortened, text

_GAP, _LINE = 4, 15
_HUES = 12


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a grid: images, and lines of text below them.

    Args:
        images: `data:` addresses.
        title: what the cell says when it is pointed at.
        note: a line of text.
        answer: a line above it that stands out.
    """

    images: Sequence[str]
    title: str
    note: str
    answer: str = ""


def image_grid(
    cells: Sequence[Cell],
    title: str,
    *,
    columns: int = 8,
    side: int = 72,
    stacked: bool = False,
    margin: int = 16,
) -> str:
    """Draws cells line by line.

    Args:
        cells: at least one; all with as many images.
        title: what is drawn, for those who cannot see it.
        columns: largest number of cells in a line.
        side: of an image in CSS pixels.
        stacked: whether the images of a cell lie one below another, not side by side.
        margin: between two cells.
    """
    columns = min(columns, len(cells))
    number = len(cells[0].images)
    across, down = (1, number) if stacked else (number, 1)
    step = side + _GAP
    below = down * step
    width = across * step - _GAP + margin
    height = below + _LINE * (2 if any(cell.answer for cell in cells) else 1) + 14
    parts = []
    for index, cell in enumerate(cells):
        x, y = index % columns * width + margin / 2, index // columns * height + 4
        for place, address in enumerate(cell.images):
            left, top = (0, place * step) if stacked else (place * step, 0)
            parts.append(picture(address, x + left, y + top, side, side, cell.title))
        middle, base = x + (width - margin) / 2, y + below + 10
        if cell.answer:
            answer = shortened(cell.answer)
            parts.append(text(middle, base, answer, color=SECOND, font_weight="bold"))
            base += _LINE
        parts.append(text(middle, base, cell.note))
    return drawing(columns * width, -(-len(cells) // columns) * height, title, parts)


@dataclasses.dataclass(frozen=True)
class Instance:
    """Something on an image.

    Args:
        box: left, top, right and bottom in pixels of the image.
        label: what it is.
        score: in [0, 1]; `None` for the truth.
        mask: rows of values, true where the image's pixel belongs to it: a boolean array `(H, W)`
            or lists; `None` for no mask.
    """

    box: tuple[float, float, float, float]
    label: str
    score: float | None = None
    mask: Sequence[Sequence[bool]] | None = None


def annotated_image(
    address: str,
    size: tuple[int, int],
    instances: Sequence[Instance],
    title: str,
    *,
    width: int = 480,
) -> str:
    """Draws an image with boxes, labels, scores and translucent masks above it.

    Instances of one label have one color.

    Args:
        address: the image, a `data:` address.
        size: width and height of the image in its pixels.
        instances: what is on it; later ones lie above earlier ones.
        title: what is drawn, for those who cannot see it.
        width: in CSS pixels.
    """
    scale = width / size[0]
    height = size[1] * scale
    labels = sorted({instance.label for instance in instances})
    count = max(_HUES, len(labels))
    parts = [picture(address, 0, 0, width, height, title)]
    captions = []
    for instance in instances:
        # Neighbors in the list are far from each other on the circle.
        color = hue(labels.index(instance.label) * 5 % count, count)
        left, top, right, bottom = (edge * scale for edge in instance.box)
        caption = (
            instance.label if instance.score is None else f"{instance.label} {instance.score:.2f}"
        )
        if instance.mask is not None:
            parts.append(
                element(
                    "path",
                    d=_runs(instance.mask),
                    transform=f"scale({scale:g})",
                    fill=color,
                    fill_opacity=0.45,
                )
            )
        parts.append(
            rectangle(
                left,
                top,
                right - left,
                bottom - top,
                "none",
                title=caption,
                stroke=color,
                stroke_width=2,
                pointer_events="all",
            )
        )
        wide = 8 + 11 * CHARACTER * len(caption)
        # Above the box where there is room, else inside, and never past the right edge.
        x, y = max(0, min(left - 1, width - wide)), top - 15 if top >= 15 else top
        captions.append(rectangle(x, y, wide, 15, color))
        captions.append(text(x + 4, y + 11, caption, "start", "#fff"))
    return drawing(width, height, title, [*parts, *captions])


def _runs(mask: Sequence[Sequence[bool]]) -> str:
    """Returns the path around each run of pixels that belong to a mask, row by row."""
    path = []
    for y, row in enumerate(mask):
        x = 0
        for is_inside, run in itertools.groupby(row, key=bool):
            length = sum(1 for _ in run)
            if is_inside:
                path.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return "".join(path)
