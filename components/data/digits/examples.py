"""Labelled images to and from the features of an example, with Pillow."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...records import Record

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP")
"""What can be read: the formats that TensorFlow decodes inside a served model."""

MOST_PIXELS = 1 << 26
"""An image with more pixels is refused: a small file may unfold to any size."""

_SHOWN_AS_IT_IS = ("JPEG", "PNG", "GIF")
_MOST_SHOWN = 192


def to_record(image: bytes, label: str, identity: str, split: str, source: str) -> Record:
    """Returns the example of an image.

    Its key is made of the image's bytes, so that copies of one image never lie in two splits.

    Args:
        image: an encoded image.
        label: name of the class.
        identity: what names the image in the source.
        split: the split that the data prescribes, or `""`.
        source: file, folder or data set.
    """
    return Record(
        key=hashlib.sha256(image).hexdigest(),
        split=split,
        source=source,
        position=identity,
        features={"image": [image], "label": [label.encode()], "id": [identity.encode()]},
    )


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns a uint8 image `(H, W)`, `(H, W, 1)` or `(H, W, 3)` as PNG bytes, without loss."""
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    encoded = io.BytesIO()
    # Little is gained by more effort on small images, and it takes twice the time.
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def problem(image: bytes) -> str | None:
    """Returns why bytes are not an image that can be used, or `None`. All pixels are decoded."""
    if not image:
        return "an empty file"
    try:
        with _open(image) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return f"{opened.width} × {opened.height} pixels, more than {MOST_PIXELS:,}"
            if opened.format == "BMP" and opened.mode not in ("L", "RGB"):
                return f"a BMP of mode {opened.mode}; only grey and true colour are read"
            opened.load()
    except Exception as error:  # Pillow's plugins raise errors of many classes on broken files.
        return f"{type(error).__name__}: {error}"
    return None


def shape(image: bytes) -> tuple[int, int, int]:
    """Returns height, width and channels (1 or 3) of an encoded image, from its header alone.

    Raises:
        ValueError: it is no image of a known format.
    """
    try:
        with _open(image) as opened:
            grey = opened.mode in ("1", "L", "LA", "La", "F") or opened.mode.startswith("I")
            return opened.height, opened.width, 1 if grey else 3
    except Exception as error:
        raise ValueError(
            f"An image must be encoded as {', '.join(FORMATS)}. Received: {image[:20]!r}, "
            f"{type(error).__name__}: {error}"
        ) from error


def sample(features: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a report shows of an example; the image is a `data:` address."""
    image = features["image"][0]
    reason = problem(image)
    return {
        "image": f"no image: {reason}" if reason else data_uri(image),
        "label": to_text(features["label"][0]),
    }


def data_uri(image: bytes) -> str:
    """Returns an encoded image as a `data:` address that browsers show; a large one is shrunk."""
    with _open(image) as opened:
        kind = opened.format or "PNG"
        if kind not in _SHOWN_AS_IT_IS or max(opened.size) > _MOST_SHOWN:
            opened.thumbnail((_MOST_SHOWN, _MOST_SHOWN))
            encoded = io.BytesIO()
            opened.convert("RGBA" if "A" in opened.getbands() else "RGB").save(encoded, "PNG")
            image, kind = encoded.getvalue(), "PNG"
    return f"data:image/{kind.lower()};base64,{base64.b64encode(image).decode()}"


def to_text(value: bytes | str) -> str:
    """Returns a feature's text: Beam passes bytes, JSON and tests `str`."""
    return value.decode() if isinstance(value, bytes) else value


def _open(image: bytes) -> Image.Image:
    from PIL import Image

    with warnings.catch_warnings():
        # Its size is checked by the callers, as an error and not as a warning.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(image), formats=FORMATS)
