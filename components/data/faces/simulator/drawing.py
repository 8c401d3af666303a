"""Draws a person in a scene with Pillow: polygons at a multiple of the size, then light by NumPy.

Dimensions: S height and width of the image, V vertices.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .person import Person
from .scene import Scene

_UNIT = 0.285
_CENTER = 0.5, 0.53
_WHITE = (236, 234, 230)
_FRONT = {
    "crop": "plain",
    "fringe": "fringe",
    "part": "part",
    "long": "part",
    "curly": "plain",
    "receding": "receding",
    "bun": "plain",
    "bob": "fringe",
    "spiky": "spiky",
}

Color = tuple[int, int, int]


def draw(
    person: Person, scene: Scene, size: int, random: np.random.Generator
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Draws an image.

    Args:
        person: who.
        scene: under which circumstances.
        size: integer, S.
        random: for background, clothes and noise.

    Returns:
        A uint8 array `(S, S, 3)`, and x and y of the eye at the left and of the one at the right.
    """
    finer = 3 if size <= 80 else 2
    canvas = _Canvas(person, scene, size * finer, random)
    canvas.background()
    canvas.behind()
    canvas.head()
    canvas.features()
    canvas.in_front()
    canvas.occlusion()
    image = canvas.image.reduce(finer)
    if scene.blur * size > 16:
        image = image.filter(ImageFilter.GaussianBlur(float(scene.blur) * size / 64))
    pixels = _lit(np.asarray(image, np.float32), person, scene)
    if scene.noise:
        pixels += scene.noise * random.standard_normal(pixels.shape, np.float32)
    np.clip(pixels, 0, 255, out=pixels)
    eyes = canvas.points[[*canvas.at("left_center"), *canvas.at("right_center")]] / finer
    (left_x, left_y), (right_x, right_y) = eyes.tolist()
    return pixels.astype(np.uint8), (left_x, left_y, right_x, right_y)


def _muted(colors: np.ndarray) -> np.ndarray:
    """Returns colors halfway to gray."""
    return 0.5 * colors + 0.5 * colors.mean(axis=-1, keepdims=True)


class _Canvas:
    """An image in the making."""

    def __init__(self, person: Person, scene: Scene, size: int, random: np.random.Generator):
        self.person, self.scene, self.size, self.random = person, scene, size, random
        self.points = _projected(person, scene, size)
        self.unit = _UNIT * size * scene.zoom
        self.colors, self.style = person.colors, person.style
        self.image = Image.new("RGB", (size, size))
        self.pen = ImageDraw.Draw(self.image)

    def at(self, name: str) -> np.ndarray:
        return self.person.parts[name]

    def polygon(self, color: Color, *names: str) -> None:
        """Fills the outline that parts make together."""
        self.fill(color, np.concatenate([self.at(name) for name in names]))

    def fill(self, color: Color, indices: np.ndarray) -> None:
        """Fills the outline of points."""
        self.pen.polygon(self.points[indices].ravel().tolist(), fill=color)

    def line(self, color: Color, width: float, *names: str) -> None:
        """Draws a line through the points of parts; the width is in units of the face."""
        self.stroke(color, width, np.concatenate([self.at(name) for name in names]))

    def stroke(self, color: Color, width: float, indices: Sequence[int] | np.ndarray) -> None:
        """Draws a line through points; the width is in units of the face."""
        thick = max(1, round(width * self.unit))
        self.pen.line(self.points[indices].ravel().tolist(), fill=color, width=thick)

    def spot(self, color: Color, center: Sequence[float], across: float, down: float) -> None:
        """Fills an ellipse of half axes in units of the face."""
        x, y = center
        across, down = across * self.unit, down * self.unit
        self.pen.ellipse((x - across, y - down, x + across, y + down), fill=color)

    def background(self) -> None:
        random, size = self.random, self.size
        values = _muted(random.integers(25, 235, (3, 3, 3))).astype(np.uint8)
        if random.random() < 0.5:
            # Mostly plain: one color that changes a little.
            values = (0.25 * values + 0.75 * values[1, 1]).astype(np.uint8)
        self.image.paste(Image.fromarray(values).resize((size, size), Image.Resampling.BILINEAR))
        for _ in range(random.integers(0, 5)):
            x, y, wide, high = random.random(4) * size
            box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            color = tuple(_muted(random.integers(20, 240, 3)).astype(int).tolist())
            (self.pen.rectangle if random.random() < 0.6 else self.pen.ellipse)(box, fill=color)

    def behind(self) -> None:
        if self.style in ("long", "bob", "curly", "bun"):
            self.polygon(self.colors["hair_shade"], "back")
        if self.style == "bun":
            self.polygon(self.colors["hair"], "bun")
        clothes = self.random.integers(15, 230, 3)
        self.polygon(self.colors["shade"], "neck")
        self.polygon(tuple(clothes.tolist()), "body")
        if self.random.random() < 0.5:
            self.polygon(self.colors["shade"], "collar")

    def head(self) -> None:
        for side in ("left", "right"):
            self.polygon(self.colors["skin"], f"{side}_ear")
            self.line(self.colors["shade"], 0.05, f"{side}_ear")
            if "earrings" in self.person.traits:
                self.spot((226, 200, 110), self.points[self.at(f"{side}_lobe")[0]], 0.06, 0.07)
        self.polygon(self.colors["skin"], "head")
        for index in self.at("cheeks"):
            self.spot(self.colors["blush"], self.points[index], 0.2, 0.15)
        if "lines" in self.person.traits:
            self.line(self.colors["shade"], 0.025, "forehead")
            for side in ("left", "right"):
                self.line(self.colors["shade"], 0.035, f"{side}_fold")
        if "beard" in self.person.traits:
            chin = self.at("inner_beard")[::-1]
            self.fill(self.colors["beard"], np.concatenate([self.at("jaw"), chin]))

    def features(self) -> None:
        person, colors = self.person, self.colors
        if "freckles" in person.traits:
            for index in self.at("freckles"):
                self.spot(colors["freckle"], self.points[index], 0.028, 0.028)
        if "mole" in person.traits:
            self.spot(colors["deep"], self.points[self.at("mole")[0]], 0.045, 0.045)
        self._mouth()
        self._nose()
        for side in ("left", "right"):
            self._eye(side)

    def _mouth(self) -> None:
        colors = self.colors
        self.line(colors["shade"], 0.04, "chin_dent")
        self.polygon(colors["lips"], "lips")
        if self.scene.expression[1] > 0.15:
            self.polygon((92, 34, 38), "gap")
            self.line(_WHITE, 0.05, "teeth")
        self.line(colors["lips_shade"], 0.03, "gap_top")
        if "moustache" in self.person.traits:
            self.polygon(colors["beard"], "moustache")

    def _nose(self) -> None:
        colors = self.colors
        nearer = "bridge_left" if self.scene.yaw > 0 else "bridge_right"
        self.line(colors["shade"], 0.035, nearer)
        self.line(colors["shade"], 0.05, "nose_base")
        for index in self.at("nostrils"):
            self.spot(colors["deep"], self.points[index], 0.05, 0.03)

    def _eye(self, side: str) -> None:
        colors, scene = self.colors, self.scene
        self.polygon(colors["brow"], f"{side}_brow")
        if scene.expression[4] > 0.8:
            self.polygon(colors["skin"], f"{side}_eye")
            self.line(colors["deep"], 0.04, f"{side}_lower")
            return
        self.line(colors["shade"], 0.03, f"{side}_crease")
        self.line(colors["shade"], 0.025, f"{side}_bag")
        outline = self.points[self.at(f"{side}_eye")]
        self._iris(side, outline)
        self.line((40, 28, 26), 0.045, f"{side}_upper")

    def _iris(self, side: str, outline: np.ndarray) -> None:
        """Draws an eyeball through a mask: what lies behind the lids does not show."""
        person, scene = self.person, self.scene
        low = np.floor(outline.min(axis=0)).astype(int) - 1
        wide, high = (np.ceil(outline.max(axis=0)).astype(int) + 2 - low).tolist()
        ball = Image.new("RGB", (wide, high), _WHITE)
        mask = Image.new("L", (wide, high))
        ImageDraw.Draw(mask).polygon((outline - low).ravel().tolist(), fill=255)
        pen = ImageDraw.Draw(ball)
        half = person.sizes["eye_width"]
        radius = person.sizes["iris"] * 0.58 * half * self.unit
        x, y = self.points[self.at(f"{side}_center")[0]] - low
        x += scene.gaze[0] * half * self.unit
        y += scene.gaze[1] * half * self.unit
        narrow = radius * np.cos(scene.yaw)
        pen.ellipse((x - narrow, y - radius, x + narrow, y + radius), fill=self.colors["iris"])
        pupil = 0.45
        pen.ellipse(
            (x - narrow * pupil, y - radius * pupil, x + narrow * pupil, y + radius * pupil),
            fill=(12, 10, 12),
        )
        glint = radius * 0.28
        x, y = x - 0.35 * radius, y - 0.4 * radius
        pen.ellipse((x - glint, y - glint, x + glint, y + glint), fill=(250, 250, 250))
        self.image.paste(ball, (int(low[0]), int(low[1])), mask)

    def in_front(self) -> None:
        colors, style = self.colors, self.style
        if style in _FRONT:
            edge = f"edge_{_FRONT[style]}"
            self.polygon(colors["hair"], "crown", edge)
            self.line(colors["hair_shade"], 0.04, edge)
        if "glasses" in self.person.traits:
            for side in ("left", "right"):
                ring = self.at(f"{side}_glass")
                self.line(colors["frame"], 0.06, f"{side}_glass")
                self.stroke(colors["frame"], 0.06, [ring[-1], ring[0]])
                outer = ring[8] if side == "left" else ring[0]
                self.stroke(colors["frame"], 0.06, [outer, self.at(f"{side}_temple")[0]])
            bridge = [self.at("left_glass")[0], self.at("right_glass")[8]]
            self.stroke(colors["frame"], 0.06, bridge)

    def occlusion(self) -> None:
        kind = self.scene.occlusion
        if kind == "none":
            return
        random = self.random
        color = tuple(random.integers(15, 225, 3).tolist())
        if kind == "sunglasses":
            for side in ("left", "right"):
                self.polygon((26, 24, 30), f"{side}_glass")
            self.stroke((26, 24, 30), 0.08, [self.at("left_glass")[0], self.at("right_glass")[8]])
        elif kind == "mask":
            parts = (self.at("jaw"), self.at("right_fold")[:1], self.at("tip"))
            self.fill(color, np.concatenate([*parts, self.at("left_fold")[:1]]))
        elif kind == "hand":
            self._hand(color)
        elif kind == "bar":
            x, y = random.uniform(0.2, 0.8, 2) * self.size
            half = random.uniform(0.03, 0.08) * self.size
            angle = random.uniform(0, np.pi)
            along = 2 * self.size * np.array([np.cos(angle), np.sin(angle)])
            ends = [x - along[0], y - along[1], x + along[0], y + along[1]]
            self.pen.line(ends, fill=color, width=round(2 * half))
        elif kind == "hat":
            self._hat(color)
        else:
            self._lock()

    def _hand(self, color: Color) -> None:
        side = 1 if self.random.random() < 0.5 else -1
        x, y = self.points[self.at("tip")[0]]
        x += side * self.random.uniform(0.3, 0.7) * self.unit
        y += self.random.uniform(0.1, 0.6) * self.unit
        skin = self.colors["skin"]
        thick = round(0.2 * self.unit)
        for finger in range(4):
            top = y - (0.55 - 0.08 * abs(finger - 1.5)) * self.unit
            left = x + side * (finger - 1.5) * 0.2 * self.unit
            self.pen.line((left, y, left, top), fill=skin, width=thick)
            self.pen.line(
                (left + thick / 2, y, left + thick / 2, top), fill=self.colors["shade"], width=2
            )
            self.pen.ellipse(
                (left - thick / 2, top - thick / 2, left + thick / 2, top + thick / 2), fill=skin
            )
        self.spot(skin, (x, y + 0.25 * self.unit), 0.42, 0.4)
        self.pen.line(
            (x, y + 0.4 * self.unit, x + side * self.unit, y + 3 * self.unit),
            fill=color,
            width=round(0.7 * self.unit),
        )

    def _hat(self, color: Color) -> None:
        crown = self.points[self.at("crown")]
        up = crown[12] - self.points[self.at("tip")[0]]
        up /= max(float(np.linalg.norm(up)), 1.0)
        # The brim is a line across the forehead, from the crown's one side to the other.
        above = crown[3:22] + 0.1 * self.unit * up
        self.pen.polygon(above.ravel().tolist(), fill=color)
        darker = tuple(value * 2 // 3 for value in color)
        brim = above[[0, -1]] + (above[[0, -1]] - above[[-1, 0]]) * 0.08
        self.pen.line(brim.ravel().tolist(), fill=darker, width=round(0.2 * self.unit))

    def _lock(self) -> None:
        """Hair over one half of the forehead and an eye."""
        side = "left" if self.random.random() < 0.5 else "right"
        crown = self.points[self.at("crown")[[12, 6 if side == "left" else 18]]]
        low = self.points[self.at(f"{side}_bag")[[0, 6]]]
        outline = [
            *crown[0],
            *crown[1],
            *low[0 if side == "left" else 1],
            *low[1 if side == "left" else 0],
        ]
        self.pen.polygon([float(value) for value in outline], fill=self.colors["hair"])


def _projected(person: Person, scene: Scene, size: int) -> np.ndarray:
    """Returns the points `(V, 2)` in pixels."""
    points = person.points.copy()
    points[:, :2] += np.tensordot(scene.expression, person.shapes, 1)
    flat = points[: person.flat]
    front = points[person.flat :]
    sine, cosine = np.sin(scene.yaw), np.cos(scene.yaw)
    x = front[:, 0] * cosine + front[:, 2] * sine
    z = front[:, 2] * cosine - front[:, 0] * sine
    y = front[:, 1] * np.cos(scene.pitch) - z * np.sin(scene.pitch)
    # A little perspective: what is nearer is larger.
    nearer = 1 + 0.06 * z
    turned = np.concatenate([flat[:, :2], np.stack([x * nearer, y * nearer], axis=1)])
    sine, cosine = np.sin(scene.roll), np.cos(scene.roll)
    rotated = turned @ np.array([[cosine, sine], [-sine, cosine]])
    center = (np.array(_CENTER) + scene.shift) * size
    return rotated * (_UNIT * size * scene.zoom) + center


@functools.lru_cache(maxsize=4)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of the pixels' centers in parts of the image, float32."""
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return middle[None, :], middle[:, None]


def _lit(pixels: np.ndarray, person: Person, scene: Scene) -> np.ndarray:
    """Multiplies an image by the light on a head of an ellipsoid and a nose."""
    x, y = _grid(len(pixels))
    x = (x - np.float32(_CENTER[0] + scene.shift[0])) / np.float32(_UNIT * scene.zoom)
    y = (y - np.float32(_CENTER[1] + scene.shift[1])) / np.float32(_UNIT * scene.zoom)
    sine, cosine = np.float32(np.sin(scene.roll)), np.float32(np.cos(scene.roll))
    x, y = x * cosine + y * sine, y * cosine - x * sine
    across = x / np.float32(1.15 * person.sizes["width"])
    down = y / np.float32(1.15 * person.sizes["height"])
    inside = 1 - across * across - down * down
    depth = np.sqrt(np.maximum(inside, 0.04))
    # The nose is a bump whose slopes tilt the normal.
    tip = person.sizes["eye_y"] + person.sizes["nose_length"]
    beside = (x - np.float32(np.sin(scene.yaw))) / np.float32(
        0.75 * person.sizes["nose_width"] + 0.05
    )
    below = y - np.float32(tip - 0.16 - np.sin(scene.pitch))
    slope = below / np.where(below > 0, np.float32(0.16), np.float32(0.36))
    bump = np.exp(-(beside * beside) - slope * slope) * np.float32(1.6 * person.sizes["nose_bump"])
    light = [np.float32(value) for value in scene.light]
    lambert = light[0] * (across + bump * beside) + light[1] * (down + bump * slope)
    lambert += light[2] * depth
    # Towards the edge of the head the light becomes that of the background.
    lambert = 0.55 + (lambert - 0.55) * np.clip(inside * 3, 0, 1)
    contrast = np.float32(scene.contrast)
    shade = np.float32(scene.exposure) * (1 - contrast + 1.7 * contrast * np.maximum(lambert, 0))
    return pixels * (shade[..., None] * scene.tint.astype(np.float32))
