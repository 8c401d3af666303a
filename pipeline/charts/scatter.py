"""A map of images at the places of their embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .palette import INK, hue
from .svg import circle, drawing, picture, rectangle

_THUMBNAIL = 30
_FRAME = _THUMBNAIL + 6
_MARGIN = _THUMBNAIL / 2 + 8
_STEPS = 300
_SIZE = 780, 540
"""About the size of the map, in CSS pixels."""


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """An image on a map.

    Args:
        place: x and y, in any unit.
        group: what its frame's color stands for.
        image: a `data:` address.
        title: what it says when it is pointed at.
        marked: whether it gets a dot.
    """

    place: Sequence[float]
    group: str
    image: str
    title: str
    marked: bool = False


def thumbnail_map(thumbnails: Sequence[Thumbnail], title: str) -> str:
    """Draws images at their places, moved apart until they hardly overlap.

    Args:
        thumbnails: at least one.
        title: what is drawn, for those who cannot see it.
    """
    places = _spread(np.array([thumbnail.place for thumbnail in thumbnails], float))
    groups = sorted({thumbnail.group for thumbnail in thumbnails})
    parts = []
    for (x, y), thumbnail in zip(places.tolist(), thumbnails, strict=True):
        color = hue(groups.index(thumbnail.group), len(groups))
        left, top = x - _FRAME / 2, y - _FRAME / 2
        parts.append(rectangle(left, top, _FRAME, _FRAME, color, title=thumbnail.title, rx=3))
        parts.append(
            picture(thumbnail.image, left + 3, top + 3, _THUMBNAIL, _THUMBNAIL, thumbnail.title)
        )
        if thumbnail.marked:
            parts.append(circle(left + _FRAME - 4, top + 4, 5, INK))
    right, bottom = (places.max(axis=0) + _MARGIN).tolist()
    return drawing(right, bottom, title, parts)


def _spread(places: np.ndarray) -> np.ndarray:
    """Returns places in the picture, moved apart until thumbnails hardly overlap."""
    low, high = places.min(axis=0), places.max(axis=0)
    places = (places - low) / np.maximum(high - low, 1e-9) * _SIZE
    # Those at one place part by their order.
    order = np.sign(np.subtract.outer(np.arange(len(places)), np.arange(len(places))))
    for _ in range(_STEPS):
        apart = places[:, None] - places[None]
        # Squares overlap where both sides do; they move along the shorter way out.
        overlap = _FRAME + 1 - np.abs(apart)
        np.einsum("iik->ik", overlap)[...] = 0
        touching = (overlap > 0).all(axis=2)
        if not touching.any():
            break
        shorter = overlap[..., 0] <= overlap[..., 1]
        ways = np.stack([shorter, ~shorter], axis=2) & touching[..., None]
        sign = np.where(apart == 0, order[..., None], np.sign(apart))
        places = places + (0.25 * sign * overlap * ways).sum(axis=1)
    return places - places.min(axis=0) + _MARGIN
