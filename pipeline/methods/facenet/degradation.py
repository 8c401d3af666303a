"""Images made worse: compressed as JPEG and shrunk, as in Table 4 of the paper.

Dimensions: N images, H height, W width, C channels.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

JPEG_QUALITIES = (10, 20, 30, 50, 70, 90)
"""The paper's."""

SIDES = (40, 80, 120, 160, 256)
"""Sides of the paper's images in pixels; the last is the largest of its images."""


def levels(shape: tuple[int, int, int]) -> dict[str, dict[str, Callable[[np.ndarray], np.ndarray]]]:
    """Returns the ways in which images are made worse.

    Args:
        shape: H, W and C of the images.

    Returns:
        By `jpeg quality` and `pixels`, and then by the level: functions from uint8 images
        `(N, H, W, C)` to such images. The qualities are the paper's. The numbers of pixels are the
        same parts of the image's sides as the paper's 1,600, 6,400, 14,400 and 25,600 are of its
        65,536; the last level is the image as it is.
    """
    height, width, _ = shape
    sizes = [
        (max(1, round(height * side / SIDES[-1])), max(1, round(width * side / SIDES[-1])))
        for side in SIDES
    ]
    return {
        "jpeg quality": {str(quality): _compression(quality) for quality in JPEG_QUALITIES},
        "pixels": {str(high * wide): _shrinking(high, wide) for high, wide in sizes},
    }


def compress(images: np.ndarray, quality: int) -> np.ndarray:
    """Compresses images as JPEG and decodes them again.

    Args:
        images: uint8 (N, H, W, C), C is 1 or 3.
        quality: integer in [1, 95], as Pillow (libjpeg) counts it.

    Returns:
        uint8 (N, H, W, C).
    """

    def through_jpeg(image: Image.Image) -> Image.Image:
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=quality)
        return Image.open(encoded)

    return _each(images, through_jpeg)


def shrink(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Makes images smaller and then as large as before, both bilinearly with antialiasing.

    Args:
        images: uint8 (N, H, W, C), C is 1 or 3.
        height: integer, in between.
        width: integer, in between.

    Returns:
        uint8 (N, H, W, C).
    """
    size = images.shape[2], images.shape[1]
    bilinear = Image.Resampling.BILINEAR
    return _each(
        images, lambda image: image.resize((width, height), bilinear).resize(size, bilinear)
    )


def _compression(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: compress(images, quality)


def _shrinking(height: int, width: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: shrink(images, height, width)


def _each(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    changed = np.empty_like(images)
    for image, into in zip(images, changed, strict=True):
        flat = image[..., 0] if image.shape[-1] == 1 else image
        into[...] = np.asarray(change(Image.fromarray(flat))).reshape(image.shape)
    return changed
