"""Draws what images are put together from, as Figure 1 of Lee & Seung 1999 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from .....components.data.images.image_files import data_uri, encode_png
from .evaluation import to_pixels

_SIDE = 300
_SMALL = 110
_GAP = 26
_TEXT = 20
_FONT = "ui-sans-serif, system-ui, sans-serif"
_PAIR = 96


def draw_components(
    name: str,
    components: np.ndarray,
    codes: np.ndarray,
    image: np.ndarray,
    reconstruction: np.ndarray,
) -> str:
    """Draws all components, the codes of one image in the same grid, and what they add up to.

    Positive values are light, negative ones red, nothing is black, so that light adds up to the
    image; each component is scaled by its largest magnitude, the codes by theirs.

    Args:
        name: what the components are.
        components: float `(rank, H, W, C)`.
        codes: float `(rank,)`.
        image: float `(H, W, C)` in [0, 1].
        reconstruction: float `(H, W, C)`.

    Returns:
        SVG text.
    """
    rank, height, width, _ = components.shape
    columns = int(np.ceil(np.sqrt(rank)))
    lines = -(-rank // columns)
    scales = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    signed = components.mean(axis=3) / np.where(scales == 0, 1, scales)[..., 0]
    grid = _mosaic([_lit(part) for part in signed], columns, border=1)
    largest = np.abs(codes).max() or 1.0
    cells = [_lit(np.full((1, 1), code / largest)) for code in codes]
    weights = _mosaic(cells, columns, border=0)
    tall = _SIDE * lines * (height + 1) / (columns * (width + 1))
    small_tall = _SMALL * height / width
    total_width = _SIDE + 3 * (_SMALL + _GAP)
    total_height = max(tall, small_tall) + 2 * _TEXT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width:g} {total_height:g}" '
        f'width="{total_width:g}" height="{total_height:g}" role="img" font-size="12" '
        f'font-family="{_FONT}" fill="currentColor"><title>{escape(name)}</title>'
    ]
    middle = _TEXT + max(tall, small_tall) / 2
    parts.append(_image(grid, 0, _TEXT, _SIDE, tall, f"{name}: all {rank} components"))
    parts.append(_label(_SIDE / 2, f"{rank} components"))
    shown = [
        ("×", weights, _SMALL * lines / columns, "codes of one image"),
        ("=", to_pixels(reconstruction), small_tall, "their sum"),
        ("≈", to_pixels(image), small_tall, "the image"),
    ]
    for number, (sign, pixels, high, text) in enumerate(shown):
        left = _SIDE + _GAP + number * (_SMALL + _GAP)
        parts.append(
            f'<text x="{left - _GAP / 2:g}" y="{middle + 6:g}" text-anchor="middle" '
            f'font-size="18">{sign}</text>'
        )
        parts.append(_image(pixels, left, middle - high / 2, _SMALL, high, text))
        parts.append(_label(left + _SMALL / 2, text, middle - high / 2 - 6))
    return "".join([*parts, "</svg>"])


def coverage(components: np.ndarray) -> float:
    """Returns the share of its pixels that a component effectively covers, mean over components.

    `(Σ|h|)² / (n Σh²)` over its `n` pixels: 1 for a component that is the same everywhere, 1/n for
    a single pixel.

    Args:
        components: float `(rank, features)`.
    """
    magnitudes = np.abs(components)
    squares = (magnitudes**2).sum(axis=1)
    used = squares > 0
    if not used.any():
        return 0.0
    shares = magnitudes[used].sum(axis=1) ** 2 / (squares[used] * components.shape[1])
    return float(shares.mean())


def worst(rows: Sequence[Mapping[str, Any]], most: int = 24) -> dict[str, str]:
    """Draws the images that were put together worst, each above what came out."""
    shown = [row for row in rows if (row.get("details") or {}).get("image")][:most]
    if not shown:
        return {}
    columns = min(8, len(shown))
    lines = -(-len(shown) // columns)
    width, height = columns * _PAIR, lines * (2 * _PAIR + _TEXT)
    title = "The images that were put together worst, each above what came out"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-size="11" font-family="{_FONT}" '
        f'fill="currentColor"><title>{title}</title>'
    ]
    for index, row in enumerate(shown):
        x, y = index % columns * _PAIR, index // columns * (2 * _PAIR + _TEXT)
        for place, name in enumerate(("image", "reconstruction")):
            parts.append(
                f'<image href="{escape(row["details"][name])}" x="{x + 3}" '
                f'y="{y + place * (_PAIR - 4) + 3}" width="{_PAIR - 6}" height="{_PAIR - 6}" '
                f'style="image-rendering:pixelated"><title>{escape(row["id"])}</title></image>'
            )
        parts.append(
            f'<text x="{x + _PAIR / 2:g}" y="{y + 2 * _PAIR + 6}" text-anchor="middle" '
            f'opacity="0.75">error {row["error"]:.3f}</text>'
        )
    return {title: "".join([*parts, "</svg>"])}


def _lit(values: np.ndarray) -> np.ndarray:
    """Returns values in [-1, 1] as uint8 red, green, blue: white light, red for negative ones."""
    light = np.clip(np.nan_to_num(np.abs(values)), 0, 1)
    others = np.where(values < 0, 0.15 * light, light)
    return np.rint(255 * np.stack([light, others, others], axis=-1)).astype(np.uint8)


def _mosaic(tiles: Sequence[np.ndarray], columns: int, border: int) -> np.ndarray:
    height, width, _ = tiles[0].shape
    lines = -(-len(tiles) // columns)
    size = (lines * (height + border) + border, columns * (width + border) + border, 3)
    whole = np.full(size, 110 if border else 0, np.uint8)
    for index, tile in enumerate(tiles):
        top = border + index // columns * (height + border)
        left = border + index % columns * (width + border)
        whole[top : top + height, left : left + width] = tile
    return whole


def _image(pixels: np.ndarray, x: float, y: float, width: float, height: float, title: str) -> str:
    return (
        f'<image href="{data_uri(encode_png(pixels))}" x="{x:g}" y="{y:g}" width="{width:g}" '
        f'height="{height:g}" preserveAspectRatio="none" style="image-rendering:pixelated">'
        f"<title>{escape(title)}</title></image>"
    )


def _label(x: float, text: str, y: float = _TEXT - 6) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" opacity="0.75">{escape(text)}</text>'
