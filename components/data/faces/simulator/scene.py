"""What differs between the drawn images of one person."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

OCCLUSIONS = ("none", "sunglasses", "mask", "hand", "bar", "hat", "lock")


class Scene(NamedTuple):
    """One image's circumstances.

    Args:
        yaw: radians, positive turns the face to the image's right.
        pitch: radians, positive looks up.
        roll: radians, positive turns clockwise.
        zoom: size of the face, 1 as usual.
        shift: of the face's center, in parts of the image.
        expression: weights of the blend shapes smile, open, raise, frown, close.
        gaze: of the irises, in parts of the eye.
        light: direction towards the light, a unit vector, z to the viewer.
        contrast: strength of the directed light, in [0, 1).
        exposure: factor of the brightness.
        tint: factors of red, green and blue.
        occlusion: one of `OCCLUSIONS`.
        blur: standard deviation in pixels of an image of 64 pixels.
        noise: standard deviation, in gray levels.
    """

    yaw: float
    pitch: float
    roll: float
    zoom: float
    shift: tuple[float, float]
    expression: np.ndarray
    gaze: tuple[float, float]
    light: np.ndarray
    contrast: float
    exposure: float
    tint: np.ndarray
    occlusion: str
    blur: float
    noise: float


def scene(random: np.random.Generator, nuisance: float) -> Scene:
    """Draws the circumstances of an image.

    Args:
        random: generator.
        nuisance: float. 0 gives a frontal, evenly lit, neutral face, 1 a varied one.
    """
    normal = np.clip(random.standard_normal(8), -2.2, 2.2)
    uniform = random.random(12)
    smile = nuisance * (1.3 * uniform[0] - 0.35)
    is_open = nuisance * max(0.0, 1.7 * uniform[1] - 0.85)
    close = 1.0 if uniform[2] < 0.04 * nuisance else 0.35 * nuisance * uniform[3]
    # Without nuisance the light comes from above.
    angle = np.pi * (nuisance * (2 * uniform[4] - 1) - 0.5)
    height = 0.6 + 0.25 * min(nuisance, 1.0) * (2 * uniform[5] - 1)
    around = np.sqrt(1 - height**2)
    occluded = uniform[6] < 0.22 * nuisance
    occlusion = 1 + int(uniform[7] * (len(OCCLUSIONS) - 1)) if occluded else 0
    warmth = 0.07 * nuisance * normal[6]
    return Scene(
        yaw=0.27 * nuisance * normal[0],
        pitch=0.11 * nuisance * normal[1],
        roll=0.10 * nuisance * normal[2],
        zoom=float(np.exp(0.07 * nuisance * normal[3])),
        shift=(0.025 * nuisance * normal[4], 0.025 * nuisance * normal[5]),
        expression=np.array(
            [smile, is_open, nuisance * (uniform[8] - 0.4), nuisance * 0.6 * uniform[9], close]
        ),
        gaze=(0.25 * nuisance * (2 * uniform[10] - 1), 0.1 * nuisance * (2 * uniform[11] - 1)),
        light=np.array([around * np.cos(angle), -abs(around * np.sin(angle)), height]),
        contrast=0.25 + 0.25 * nuisance * uniform[5],
        exposure=float(np.exp(0.16 * nuisance * normal[7])),
        tint=np.array([1 + warmth, 1.0, 1 - warmth]),
        occlusion=OCCLUSIONS[occlusion],
        blur=0.6 * nuisance * uniform[3] ** 2,
        noise=5.0 * nuisance * uniform[9],
    )
