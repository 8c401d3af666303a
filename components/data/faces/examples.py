"""Faces to and from the features of an example, and the checks of their files, with Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...io.records import Record, to_text
from ..images.image_files import GRAY_MODES, data_uri, open_image

_MODES = (*GRAY_MODES, "P", "PA", "RGB", "RGBA", "RGBa")
_ORIENTATION = 0x0112


def to_record(
    image: bytes,
    identity: str,
    name: str,
    split: str,
    source: str,
    eyes: Sequence[float] = (),
    position: str = "",
    partners: tuple[Sequence[str], Sequence[int]] | None = None,
) -> Record:
    """Returns the example of an image.

    Its key is the identity, so that a person is in one split only.

    Args:
        image: the bytes of the file.
        identity: name of the person.
        name: unique name of the image, as `Aaron_Peirsol/Aaron_Peirsol_0001`.
        split: the split that the data prescribes, or `""`.
        source: file, folder or data set.
        eyes: x and y of the eye at the image's left and of the one at its right, in pixels from the
            upper left corner of the image (the center of the first pixel is at 0.5); or nothing.
        position: where in the source; the name, if it is empty.
        partners: ids of the images with which this one makes verification pairs, of which it is the
            first image, and the pairs' folds.
    """
    others, folds = partners or ((), ())
    return Record(
        key=identity,
        split=split,
        source=source,
        position=position or name,
        features={
            "image": [image],
            "identity": [identity.encode()],
            "id": [name.encode()],
            "eyes": [float(value) for value in eyes],
            "partners": [partner.encode() for partner in others],
            "folds": list(folds),
        },
    )


def problem(image: bytes, min_size: int, max_pixels: int) -> str | None:
    """Returns why bytes are not a face's image that can be used, or `None`.

    Size and mode are looked up in the header, before a pixel is decoded: a small file may unfold to
    any size. Then all pixels are decoded, which finds what is truncated or altered.

    Read are gray, palette and RGB images, with transparency or without. Refused are the modes that
    TensorFlow's decoders do not have or read otherwise (CMYK, YCCK, Lab), BMPs that are not gray or
    true color, and images that are upright only by a mark in their EXIF data, which a served model
    does not see.

    Args:
        image: the bytes of a file.
        min_size: integer. Smallest height and width.
        max_pixels: integer. Largest number of pixels.
    """
    if not image:
        return "an empty file"
    try:
        with open_image(image) as opened:
            if opened.width * opened.height > max_pixels:
                return f"{opened.width} × {opened.height} pixels, more than {max_pixels:,}"
            if min(opened.size) < min_size:
                return f"{opened.width} × {opened.height} pixels, smaller than {min_size}"
            if opened.mode not in _MODES:
                return f"mode {opened.mode}; only gray, palette and RGB images are read"
            if opened.format == "BMP" and opened.mode not in ("L", "RGB"):
                return f"a BMP of mode {opened.mode}; only gray and true color are read"
            if opened.format == "JPEG" and opened.getexif().get(_ORIENTATION, 1) != 1:
                return "an image that EXIF data turn; apply PIL.ImageOps.exif_transpose first"
            opened.load()
    except Exception as error:  # Pillow's plugins raise errors of many classes on broken files.
        return f"{type(error).__name__}: {error}"
    return None


def sample(features: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a report shows of an example; the image is a `data:` address."""
    image = features["image"][0]
    try:
        shown = data_uri(image)
    except Exception as error:  # Pillow's plugins raise errors of many classes on broken files.
        shown = f"no image: {type(error).__name__}: {error}"
    return {
        "image": shown,
        "identity": to_text(features["identity"][0]),
        "id": to_text(features["id"][0]),
    }
