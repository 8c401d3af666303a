"""The drawn people: the shape of a face as a mesh of points, and its colors.

Coordinates are those of the face: x to the image's right, y down, z to the viewer, in half widths
of a usual head, from the middle of the head. V vertices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

EXPRESSIONS = ("smile", "open", "raise", "frown", "close")

_SKINS = np.array(
    [[255, 224, 200], [241, 198, 164], [222, 170, 128], [186, 130, 88], [136, 88, 58], [84, 54, 38]]
)
_HAIRS = np.array(
    [
        [28, 22, 20],
        [56, 38, 26],
        [96, 62, 36],
        [142, 98, 54],
        [206, 168, 104],
        [158, 72, 36],
        [150, 148, 146],
        [226, 222, 214],
    ]
)
_IRISES = np.array([[62, 40, 24], [96, 62, 30], [104, 112, 60], [76, 124, 96], [80, 126, 170]])
_STYLES = ("bald", "crop", "fringe", "part", "long", "curly", "receding", "bun", "bob", "spiky")
_FRAMES = np.array([[24, 24, 28], [120, 70, 30], [170, 30, 40], [40, 60, 120], [190, 190, 196]])


@dataclasses.dataclass(frozen=True)
class Person:
    """What stays the same in all images of a person.

    Args:
        points: float64 `(V, 3)`, of a neutral face.
        shapes: float64 `(5, V, 2)`, by how much a full expression moves the points, in the order
            of `EXPRESSIONS`.
        parts: indices of the points of each part.
        flat: how many of the points turn with the head's roll only: outlines stay outlines.
        colors: colors by name, integers from 0 to 255.
        sizes: lengths and amounts by name.
        style: of the hair.
        traits: names of what some people have.
    """

    points: np.ndarray
    shapes: np.ndarray
    parts: dict[str, np.ndarray]
    flat: int
    colors: dict[str, tuple[int, int, int]]
    sizes: dict[str, float]
    style: str
    traits: frozenset[str]


def person(random: np.random.Generator) -> Person:
    """Draws a person."""
    sizes = _sizes(random)
    style = _STYLES[random.integers(len(_STYLES))]
    traits = {
        name
        for name, share in (
            ("glasses", 0.2),
            ("beard", 0.17),
            ("moustache", 0.14),
            ("freckles", 0.2),
            ("mole", 0.25),
            ("lipstick", 0.15),
            ("earrings", 0.15),
            ("lines", 0.25),
        )
        if random.random() < share
    }
    colors = _colors(random, "lipstick" in traits)
    mesh = _Mesh(sizes["width"], sizes["height"])
    _outlines(mesh, sizes, style, random)
    flat = mesh.count
    _features(mesh, sizes, random)
    points, shapes, parts = mesh.finished()
    return Person(points, shapes, parts, flat, colors, sizes, style, frozenset(traits))


def _sizes(random: np.random.Generator) -> dict[str, float]:
    ranges = {
        "width": (0.86, 1.08),
        "height": (1.18, 1.42),
        "jaw": (0.0, 1.0),
        "chin": (0.0, 1.0),
        "eye_x": (0.35, 0.48),
        "eye_y": (-0.16, 0.06),
        "eye_width": (0.15, 0.235),
        "eye_open": (0.36, 0.68),
        "slant": (-0.22, 0.28),
        "iris": (0.62, 0.92),
        "brow_y": (0.17, 0.34),
        "brow_thick": (0.03, 0.105),
        "brow_angle": (-0.28, 0.28),
        "brow_arch": (0.0, 0.10),
        "brow_length": (0.9, 1.35),
        "nose_length": (0.36, 0.62),
        "nose_width": (0.11, 0.25),
        "nose_bump": (0.18, 0.42),
        "mouth_y": (0.2, 0.31),
        "mouth_width": (0.24, 0.44),
        "upper_lip": (0.03, 0.095),
        "lower_lip": (0.045, 0.13),
        "ear": (0.18, 0.31),
        "ear_out": (0.04, 0.17),
        "hairline": (-0.95, -0.6),
        "hair_volume": (0.08, 0.26),
        "cheek": (0.0, 0.3),
    }
    drawn = random.random(len(ranges))
    return {
        name: low + (high - low) * value
        for value, (name, (low, high)) in zip(drawn, ranges.items(), strict=True)
    }


def _colors(random: np.random.Generator, lipstick: bool) -> dict[str, tuple[int, int, int]]:
    tone = random.random() * (len(_SKINS) - 1.001)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[low + 1] - _SKINS[low])
    skin = skin * (1 + random.normal(0, 0.02, 3))
    dark = tone > 3
    hair = _HAIRS[random.integers(2 if dark else len(_HAIRS))] * random.uniform(0.75, 1.2)
    iris = _IRISES[random.integers(2 if dark else len(_IRISES))] * random.uniform(0.8, 1.15)
    lips = 0.72 * skin + 0.28 * np.array([190, 60, 70])
    if lipstick:
        lips = (
            random.uniform(0.6, 1.1)
            * np.array([[180, 30, 50], [150, 40, 90], [200, 70, 60]])[random.integers(3)]
        )
    colors = {
        "skin": skin,
        "shade": skin * np.array([0.80, 0.74, 0.72]),
        "deep": skin * np.array([0.58, 0.48, 0.46]),
        "blush": 0.82 * skin + 0.18 * np.array([214, 84, 80]),
        "hair": hair,
        "hair_shade": hair * 0.72,
        "brow": 0.8 * hair * 0.8 + 0.2 * skin * 0.6,
        "beard": 0.78 * hair * 0.9 + 0.22 * skin,
        "iris": iris,
        "lips": lips,
        "lips_shade": lips * 0.78,
        "freckle": skin * np.array([0.76, 0.64, 0.56]),
        "frame": _FRAMES[random.integers(len(_FRAMES))],
    }
    rounded = {name: np.clip(color, 0, 255).astype(int).tolist() for name, color in colors.items()}
    return {name: (red, green, blue) for name, (red, green, blue) in rounded.items()}


_Shift = Sequence[ArrayLike]
"""How far points move across and down in an expression."""


class _Mesh:
    """Collects the points of the parts."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.count = 0
        self._points: list[np.ndarray] = []
        self._shapes: list[np.ndarray] = []
        self._parts: dict[str, np.ndarray] = {}

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns z of the head's ellipsoid."""
        inside = 1 - (x / (1.04 * self.width)) ** 2 - (y / (1.06 * self.height)) ** 2
        return 0.95 * np.sqrt(np.maximum(inside, 0.0))

    def flat(self, name: str, x: ArrayLike, y: ArrayLike, z: ArrayLike = 0.0) -> None:
        """Adds points of an outline."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        self._add(name, x, y, np.broadcast_to(z, x.shape), {})

    def on_face(
        self, name: str, x: ArrayLike, y: ArrayLike, lift: ArrayLike = 0.0, **shapes: _Shift
    ) -> None:
        """Adds points of the face's surface, lifted off it, with `(dx, dy)` by expression."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        self._add(name, x, y, self.depth(x, y) + lift, shapes)

    def joined(self, name: str, *parts: str) -> None:
        """Makes a part of the points of others."""
        self._parts[name] = np.concatenate([self._parts[part] for part in parts])

    def finished(self) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Returns points, shapes and parts."""
        return np.concatenate(self._points), np.concatenate(self._shapes, axis=1), self._parts

    def _add(
        self,
        name: str,
        x: np.ndarray,
        y: np.ndarray,
        z: np.ndarray,
        shapes: Mapping[str, _Shift],
    ) -> None:
        moved = np.zeros((len(EXPRESSIONS), len(x), 2))
        for shape, (across, down) in shapes.items():
            moved[EXPRESSIONS.index(shape), :, 0] = across
            moved[EXPRESSIONS.index(shape), :, 1] = down
        self._points.append(np.stack([x, y, z], axis=1))
        self._shapes.append(moved)
        self._parts[name] = np.arange(self.count, self.count + len(x))
        self.count += len(x)


def _outlines(mesh: _Mesh, s: dict[str, float], style: str, random: np.random.Generator) -> None:
    width, height = s["width"], s["height"]
    around = np.linspace(0, 2 * np.pi, 44, endpoint=False)
    sine, cosine = np.sin(around), np.cos(around)
    below = np.clip(cosine, 0, 1)
    # From the crown over the right: the lower half is narrower towards the chin, or square.
    narrow = (0.30 - 0.22 * s["jaw"]) * below**1.6 + 0.05 * s["cheek"] * np.sin(2 * around) ** 2
    square = 0.16 * s["jaw"] * np.sin(2 * around) ** 2 * (cosine > 0)
    x = width * sine * (1 - narrow + square)
    y = height * cosine * (1 - 0.07 * (1 - s["chin"]) * below**6 - 0.10 * (cosine < 0) * -cosine)
    mesh.flat("head", x, y)
    jaw = np.flatnonzero(y > 0.12 * height)
    order = jaw[np.argsort(around[jaw] if len(jaw) else jaw)]
    # The jaw's points from one side to the other, for the beard.
    order = np.concatenate([order[order > 22], order[order <= 22]])
    mesh.flat("jaw", 1.01 * x[order], 1.02 * y[order] + 0.01)
    neck = 0.62 * width
    mesh.flat("neck", [-neck, neck, neck * 1.15, -neck * 1.15], [0.4, 0.4, 2.6, 2.6])
    mesh.flat(
        "body",
        [-0.66 * width, 0.66 * width, 1.5, 2.0, 2.1, -2.1, -2.0, -1.5],
        [1.62, 1.62, 1.78, 2.1, 4.0, 4.0, 2.1, 1.78],
    )
    mesh.flat("collar", [-0.6 * width, 0.0, 0.6 * width], [1.58, 2.0, 1.58])
    volume = s["hair_volume"] + (0.22 if style == "curly" else 0.0)
    crown = np.linspace(-0.5, 0.5, 25) * np.pi
    bumps = {"curly": 0.05, "spiky": 0.09}.get(style, 0.012) * np.cos(
        np.arange(25) * (2.1 if style == "curly" else np.pi)
    )
    reach = 1 + volume / 1.3 + bumps
    mesh.flat("crown", 1.03 * width * np.sin(crown) * reach, -height * np.cos(crown) * 0.93 * reach)
    length = {"long": 2.3, "bob": 1.15, "curly": 0.75, "bun": 0.35}.get(style, 0.3)
    length *= random.uniform(0.88, 1.12)
    side = (1.10 + volume) * width
    mesh.flat(
        "back_ends",
        [
            side,
            side * 1.02,
            side * 0.9,
            0.5 * width,
            -0.5 * width,
            -side * 0.9,
            -side * 1.02,
            -side,
        ],
        [0.1, 0.6 * length, length, 1.04 * length, 1.04 * length, length, 0.6 * length, 0.1],
    )
    mesh.joined("back", "crown", "back_ends")
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    mesh.flat("bun", 0.36 * np.sin(turn), -height - 0.22 + 0.3 * np.cos(turn))


def _features(mesh: _Mesh, s: dict[str, float], random: np.random.Generator) -> None:
    width, height = s["width"], s["height"]
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for name, sign in (("left", -1), ("right", 1)):
        x = sign * (width + s["ear_out"] - 0.07 + 0.5 * s["ear"] * np.cos(turn))
        mesh.flat(f"{name}_ear", x, s["eye_y"] + 0.18 + s["ear"] * np.sin(turn), -0.2)
        mesh.flat(f"{name}_lobe", [x.mean()], [s["eye_y"] + 0.22 + s["ear"]], -0.2)
    _hairline(mesh, s, random)
    for name, sign in (("left", -1), ("right", 1)):
        _eye(mesh, s, name, sign)
    _nose_and_mouth(mesh, s)
    count = 26
    x = random.uniform(-0.62, 0.62, count) * width
    y = s["eye_y"] + 0.2 + random.uniform(0, 0.42, count)
    mesh.on_face("freckles", x, y)
    mesh.on_face("mole", [random.uniform(-0.6, 0.6) * width], [random.uniform(0.1, 0.85)])
    mesh.on_face("forehead", np.linspace(-0.4, 0.4, 7), -0.62 * height)
    mesh.on_face("cheeks", [-0.52 * width, 0.52 * width], [0.36, 0.36])


def _hairline(mesh: _Mesh, s: dict[str, float], random: np.random.Generator) -> None:
    """Adds the edges of the hair over the forehead, from the right temple to the left."""
    width, height = s["width"], s["height"]
    along = np.linspace(1, -1, 17)
    base = s["hairline"] * height * (1 - np.abs(along) ** 5)
    sides = 0.98 * width * np.sign(along) * np.abs(along) ** 0.8
    part = random.uniform(-0.6, 0.6)
    edges = {
        "plain": base,
        "fringe": (s["hairline"] + 0.34) * height * (1 - np.abs(along) ** 8)
        + 0.05 * np.cos(np.arange(17) * 2.4),
        "part": base + 0.30 * np.maximum(0, np.abs(along - part) - 0.05) * (np.abs(along) < 0.95),
        "receding": -0.62 * height * (1 - np.abs(along) ** 5)
        - 0.24 * height * np.sin(np.pi * np.minimum(np.abs(along), 1.0)) ** 2,
        "spiky": base + 0.07 * np.cos(np.arange(17) * np.pi),
    }
    for name, y in edges.items():
        # Above the crown's line the hair would be turned inside out.
        y = np.maximum(y, -0.86 * height * np.sqrt(1 - 0.96 * along**2))
        mesh.on_face(f"edge_{name}", sides, y)
    ends = np.array([0.32, 0.3, 0.3, 0.32]) * height * random.uniform(0.3, 1.0)
    mesh.flat("burns", width * np.array([1.02, 0.88, -0.88, -1.02]), ends)


def _eye(mesh: _Mesh, s: dict[str, float], name: str, sign: int) -> None:
    along = np.linspace(-1, 1, 9)
    half, middle = s["eye_width"], sign * s["eye_x"]
    x = middle + half * along
    # A slant lifts the outer corner.
    tilt = -s["slant"] * half * along * sign
    arch = 1 - along**2
    opened = s["eye_open"] * half
    upper = s["eye_y"] + tilt - 1.05 * opened * arch**0.75
    lower = s["eye_y"] + tilt + 0.8 * opened * arch
    mesh.on_face(f"{name}_upper", x, upper, close=(0, 1.55 * opened * arch), smile=(0, 0.02))
    mesh.on_face(
        f"{name}_lower", x[::-1], lower[::-1], smile=(0, -0.25 * opened * arch), close=(0, 0)
    )
    mesh.joined(f"{name}_eye", f"{name}_upper", f"{name}_lower")
    mesh.on_face(f"{name}_crease", x, upper - 0.05 - 0.03 * arch, close=(0, 0.5 * opened * arch))
    mesh.on_face(f"{name}_socket", x, upper - 0.12 * arch - 0.02)
    mesh.on_face(f"{name}_center", [middle], [s["eye_y"]])
    mesh.on_face(f"{name}_bag", x[1:-1], (lower + 0.09 + 0.02 * arch)[1:-1])
    longer = s["brow_length"] * half * 1.25
    x = middle + longer * along + 0.03 * sign
    outer = along * sign
    y = s["eye_y"] - s["brow_y"] - s["brow_arch"] * (1 - (outer - 0.25) ** 2)
    y = y - s["brow_angle"] * longer * outer
    thick = s["brow_thick"] * (1 - 0.65 * np.clip(outer, -0.4, 1) ** 2)

    def moved(outer: np.ndarray) -> dict[str, _Shift]:
        return {"raise": (0, -0.14), "frown": (-0.05 * sign, 0.10 * (1 - outer) / 2)}

    mesh.on_face(f"{name}_brow_top", x, y - thick, 0.02, **moved(outer))
    mesh.on_face(
        f"{name}_brow_bottom",
        x[::-1],
        (y + thick * 0.8)[::-1],
        0.02,
        **moved(outer[::-1]),
    )
    mesh.joined(f"{name}_brow", f"{name}_brow_top", f"{name}_brow_bottom")
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    mesh.on_face(
        f"{name}_glass",
        middle + sign * 0.02 + 0.34 * np.cos(turn),
        s["eye_y"] + 0.05 + 0.27 * np.sin(turn) - 0.02 * np.cos(2 * turn),
        0.12,
    )
    mesh.flat(f"{name}_temple", [sign * s["width"] * 1.0], [s["eye_y"]], -0.1)


def _nose_and_mouth(mesh: _Mesh, s: dict[str, float]) -> None:
    tip = s["eye_y"] + s["nose_length"]
    wide, bump = s["nose_width"], s["nose_bump"]
    mesh.on_face("tip", [0.0], [tip - 0.04], bump)
    mesh.on_face("nostrils", [-0.55 * wide, 0.55 * wide], [tip + 0.035] * 2, 0.6 * bump)
    turn = np.linspace(-0.15, 1.15, 11) * np.pi
    mesh.on_face(
        "nose_base",
        wide * np.cos(turn) * 1.05,
        tip - 0.035 + 0.085 * np.sin(turn) - 0.02 * np.cos(2 * turn),
        0.55 * bump,
    )
    down = np.linspace(0, 1, 6)
    lift = bump * down**1.5
    bridge = 0.06 + 0.35 * wide * down
    y = s["eye_y"] - 0.04 + (s["nose_length"] - 0.05) * down
    mesh.on_face("bridge_left", -bridge, y, lift)
    mesh.on_face("bridge_right", bridge[::-1], y[::-1], lift[::-1])
    mesh.joined("bridge", "bridge_left", "bridge_right")

    mouth = tip + s["mouth_y"]
    half = s["mouth_width"]
    along = np.linspace(-1, 1, 11)
    arch = 1 - along**2
    x = half * along
    smile = (0.22 * half * along, 0.05 - 0.17 * along**2)
    back = tuple(np.flip(part) for part in smile)
    bow = 0.25 * np.exp(-((along / 0.18) ** 2))
    mesh.on_face(
        "lip_top",
        x,
        mouth - s["upper_lip"] * (1.1 - bow) * arch**0.6,
        0.08,
        smile=smile,
        open=(-0.06 * half * along, -0.03 * arch),
    )
    mesh.on_face("gap_top", x, mouth, 0.06, smile=smile, open=(-0.06 * half * along, -0.02 * arch))
    mesh.on_face(
        "gap_bottom",
        x[::-1],
        np.full(11, mouth + 0.004),
        0.06,
        smile=back,
        open=(0.06 * half * along, 0.24 * arch),
    )
    mesh.on_face(
        "lip_bottom",
        x[::-1],
        mouth + 0.004 + s["lower_lip"] * arch**0.7,
        0.08,
        smile=back,
        open=(0.06 * half * along, 0.26 * arch),
    )
    mesh.joined("lips", "lip_top", "lip_bottom")
    mesh.joined("gap", "gap_top", "gap_bottom")
    mesh.on_face("teeth", x[2:-2], (mouth + 0.05 * arch)[2:-2], 0.05, smile=(0, 0.03))
    mesh.on_face(
        "chin_dent", [-0.12, 0.0, 0.12], mouth + s["lower_lip"] + np.array([0.1, 0.12, 0.1])
    )
    mesh.on_face(
        "moustache",
        1.25 * half * np.array([-1, -0.5, 0, 0.5, 1, 0.6, 0, -0.6]),
        mouth - np.array([-0.05, 0.13, 0.15, 0.13, -0.05, 0.03, 0.06, 0.03]),
        0.1,
        smile=(0, -0.05),
    )
    for name, sign in (("left", -1), ("right", 1)):
        mesh.on_face(
            f"{name}_fold",
            sign * np.array([wide * 1.3, wide * 1.3 + 0.1, half + 0.1]),
            np.array([tip - 0.03, tip + 0.08, mouth - 0.04]),
            smile=(0.04 * sign, 0.0),
        )
    mesh.on_face("inner_beard", 1.25 * half * along, mouth + 0.02 - 0.20 * arch**0.5, 0.02)
