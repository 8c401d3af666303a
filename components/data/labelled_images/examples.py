"""Labelled images to and from the features of an example, with Pillow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ...io.records import Record, to_text
from ..images.image_files import data_uri, open_image

MOST_PIXELS = 1 << 26
"""An image with more pixels is refused: a small file may unfold to any size."""


def to_record(image: bytes, label: str, identity: str, split: str, source: str) -> Record:
    """Returns the example of an image.

    Its key is a hash of the image's bytes, so that copies of an image are never in two splits.

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


def problem(image: bytes) -> str | None:
    """Returns why bytes are not an image that can be used, or `None`. All pixels are decoded."""
    if not image:
        return "an empty file"
    try:
        with open_image(image) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return f"{opened.width} × {opened.height} pixels, more than {MOST_PIXELS:,}"
            if opened.format == "BMP" and opened.mode not in ("L", "RGB"):
                return f"a BMP of mode {opened.mode}; only gray and true color are read"
            opened.load()
    except Exception as error:  # Pillow's plugins raise errors of many classes on broken files.
        return f"{type(error).__name__}: {error}"
    return None


def sample(features: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a report shows of an example; the image is a `data:` address."""
    image = features["image"][0]
    reason = problem(image)
    return {
        "image": f"no image: {reason}" if reason else data_uri(image),
        "label": to_text(features["label"][0]),
    }
