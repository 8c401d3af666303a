"""What the report draws of the parts: all components, and one image as their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from .....components.data.images.image_files import data_uri, encode_png
from .....components.data.images.pixels import to_floats
from .....components.data.labelled_images.labelled_images import LabelledImages


def plotted(models: Mapping[str, keras.Model], data: LabelledImages, split: str) -> dict[str, Any]:
    """Returns the components of each kind, and the first image of a split as their sum.

    Positive values are light, negative ones red, nothing is black, so that light adds up to the
    image; each component is scaled by its largest magnitude, the codes by theirs.

    Args:
        models: by kind, from images `(B, H, W, C)` to `codes` and `reconstruction`.
        data: images.
        split: string.

    Returns:
        A dict of JSON values: `kinds`, for each a dict with `kind`, `id` of the image, `rank`,
        `size` (H and W), `coverage`, and as `data:` addresses `components` and `codes` (both in one
        grid of square shape), `reconstruction` and `image`.
    """
    pixels, _, ids = next(data.parsed(split, 1))
    images = to_floats(pixels)
    kinds = []
    for kind, model in models.items():
        outputs = model(images, training=False)
        flat = keras.ops.convert_to_numpy(model.coder.components)
        components = flat.reshape(-1, *data.image_shape)
        kinds.append(
            {
                "kind": kind,
                "id": ids[0].decode(),
                "rank": len(components),
                "size": list(data.image_shape[:2]),
                "coverage": coverage(flat),
                **grids(components, outputs["codes"].numpy()[0]),
                "reconstruction": _address(to_pixels(outputs["reconstruction"].numpy()[0])),
                "image": _address(to_pixels(images.numpy()[0])),
            }
        )
    return {"kinds": kinds}


def grids(components: np.ndarray, codes: np.ndarray) -> dict[str, str]:
    """Returns all components and their codes as two pictures of the same grid.

    Args:
        components: float `(rank, H, W, C)`.
        codes: float `(rank,)`.
    """
    columns = int(np.ceil(np.sqrt(len(components))))
    scales = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    signed = components.mean(axis=3) / np.where(scales == 0, 1, scales)[..., 0]
    largest = np.abs(codes).max() or 1.0
    cells = [_lit(np.full((1, 1), code / largest)) for code in codes]
    return {
        "components": _address(_mosaic([_lit(part) for part in signed], columns, border=1)),
        "codes": _address(_mosaic(cells, columns, border=0)),
    }


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


def to_pixels(image: np.ndarray) -> np.ndarray:
    """Returns floats in [0, 1] as uint8; what lies outside is cut off."""
    return np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)


def _address(pixels: np.ndarray) -> str:
    return data_uri(encode_png(pixels))


def _lit(values: np.ndarray) -> np.ndarray:
    """Returns values in [-1, 1] as uint8 red, green, blue: white light, red for negative ones."""
    light = np.clip(np.nan_to_num(np.abs(values)), 0, 1)
    green_and_blue = np.where(values < 0, 0.15 * light, light)
    return np.rint(255 * np.stack([light, green_and_blue, green_and_blue], axis=-1)).astype(
        np.uint8
    )


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
