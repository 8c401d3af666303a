"""Image files as bytes: what kinds of data with images have in common, with Pillow."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP")
"""What can be read: the formats that TensorFlow decodes inside a served model."""

GRAY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's modes of one channel, opacity aside."""

_SHOWN_AS_IT_IS = ("JPEG", "PNG", "GIF")
_MOST_SHOWN = 192


def open_image(image: bytes) -> Image.Image:
    """Opens an encoded image, of which only the header is read.

    Raises:
        Exception: of many classes, where it is no image of a known format.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Its size is checked by the callers, as an error and not as a warning.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(image), formats=FORMATS)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns a uint8 image `(H, W)`, `(H, W, 1)` or `(H, W, 3)` as PNG bytes, without loss."""
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    encoded = io.BytesIO()
    # Little is gained by more effort on small images, and it takes twice the time.
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def shape(image: bytes) -> tuple[int, int, int]:
    """Returns height, width and channels (1 or 3) of an encoded image, from its header alone.

    Raises:
        ValueError: it is no image of a known format.
    """
    try:
        with open_image(image) as opened:
            return opened.height, opened.width, 1 if opened.mode in GRAY_MODES else 3
    except Exception as error:
        raise ValueError(
            f"An image must be encoded as {', '.join(FORMATS)}. Received: {image[:20]!r}, "
            f"{type(error).__name__}: {error}"
        ) from error


def not_an_image(reason: str) -> str:
    """Returns a problem as the reason of a dead letter."""
    return f"A file must be an image ({', '.join(FORMATS)}). Received: {reason}"


def data_uri(image: bytes) -> str:
    """Returns an encoded image as a `data:` address that browsers show; a large one is shrunk.

    Raises:
        Exception: of many classes, where it cannot be decoded.
    """
    with open_image(image) as opened:
        kind = opened.format or "PNG"
        opened.load()
        if kind not in _SHOWN_AS_IT_IS or max(opened.size) > _MOST_SHOWN:
            opened.thumbnail((_MOST_SHOWN, _MOST_SHOWN))
            encoded = io.BytesIO()
            opened.convert("RGBA" if "A" in opened.getbands() else "RGB").save(encoded, "PNG")
            image, kind = encoded.getvalue(), "PNG"
    return f"data:image/{kind.lower()};base64,{base64.b64encode(image).decode()}"
