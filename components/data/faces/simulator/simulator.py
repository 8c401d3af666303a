"""Draws small color images of invented people's faces.

A person is a set of numbers that stay: shape of head, jaw, eyes, brows, nose, mouth and ears,
colors of skin, hair and eyes, hair style, beard, freckles, glasses. An image adds what does not
say who it is: pose, place and size, expression, light and its color, what hides a part of the
face, clothes, background, blur, noise and compression; the option `nuisance` says how much.

Each person and each image is drawn from a seed of its own: a larger data set begins with the
smaller one, and people can be drawn apart.
"""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Iterator

import numpy as np

from ..options import SimulatorOptions
from .drawing import draw
from .person import Person, person
from .scene import scene

_PERSON, _IMAGE = range(2)
_QUALITY_LOW, _QUALITY_HIGH = 60, 95


@dataclasses.dataclass(frozen=True)
class SimulatedFace:
    """A drawn image.

    Args:
        id: as `Person_0001/Person_0001_0001`.
        image: JPEG or PNG.
        eyes: x and y of the eye at the image's left and of the one at its right, in pixels from the
            upper left corner; also where they are hidden.
    """

    id: str
    image: bytes
    eyes: tuple[float, float, float, float]


def identity_name(identity: int) -> str:
    """Returns the name of a person: `Person_0001` is the one with the index 0."""
    return f"Person_{identity + 1:04d}"


def image_id(identity: int, image: int) -> str:
    """Returns the id of an image, as LFW's are made."""
    name = identity_name(identity)
    return f"{name}/{name}_{image + 1:04d}"


def simulate_identity(parameters: SimulatorOptions, identity: int) -> Iterator[SimulatedFace]:
    """Yields the images of one person.

    Args:
        parameters: `SimulatorOptions`.
        identity: integer, index of the person.
    """
    for image in range(parameters.images):
        pixels, eyes = simulate_pixels(parameters, identity, image)
        yield SimulatedFace(
            id=image_id(identity, image),
            image=_encoded(pixels, parameters, identity, image),
            eyes=eyes,
        )


def simulate_pixels(
    parameters: SimulatorOptions, identity: int, image: int
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Draws one image.

    Returns:
        A uint8 array `(size, size, 3)`, and the eyes as in `SimulatedFace`.
    """
    random = np.random.default_rng([parameters.seed, _IMAGE, identity, image])
    who = _person(parameters.seed, identity)
    return draw(who, scene(random, parameters.nuisance), parameters.size, random)


@functools.lru_cache(maxsize=8)
def _person(seed: int, identity: int) -> Person:
    return person(np.random.default_rng([seed, _PERSON, identity]))


def _encoded(pixels: np.ndarray, parameters: SimulatorOptions, identity: int, image: int) -> bytes:
    from PIL import Image

    encoded = io.BytesIO()
    if parameters.file_format == "png":
        Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    else:
        # Golden-ratio steps: qualities are spread evenly, and the same in every version of NumPy.
        spread = (identity * 0.7548776662 + image * 0.6180339887) % 1.0
        low = _QUALITY_HIGH - (_QUALITY_HIGH - _QUALITY_LOW) * min(parameters.nuisance, 1.0)
        Image.fromarray(pixels).save(
            encoded, "JPEG", quality=round(low + (_QUALITY_HIGH - low) * spread)
        )
    return encoded.getvalue()
