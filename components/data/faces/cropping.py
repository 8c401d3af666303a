"""The part of an image that is used: a fraction around its center, or a box in pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Crop:
    """Crops an image.

    Args:
        fraction: float in (0, 1]. Of height and width around the center, rounded to whole pixels.
        box: left, top, right and bottom in pixels, right and bottom not included; `None` takes the
            fraction.
    """

    fraction: float = 1.0
    box: tuple[int, int, int, int] | None = None

    @classmethod
    def of(cls, value: float | tuple[int, int, int, int]) -> Crop:
        """Returns the crop that the option `transform.crop` asks for."""
        return cls(box=value) if isinstance(value, tuple) else cls(fraction=value)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Crop:
        """Returns the crop that `settings` described."""
        box = settings.get("box")
        return cls(box=tuple(box)) if box else cls(fraction=settings["fraction"])

    @property
    def settings(self) -> dict[str, Any]:
        """The crop as JSON values: `{"fraction": 1.0}` or `{"box": [45, 45, 205, 205]}`."""
        return {"box": list(self.box)} if self.box else {"fraction": self.fraction}

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Returns height and width of the crop of an image of this size."""
        if self.box:
            return self.box[3] - self.box[1], self.box[2] - self.box[0]
        return max(round(height * self.fraction), 1), max(round(width * self.fraction), 1)

    def bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns left, top, right and bottom of the crop of an image of this size."""
        if self.box:
            return self.box
        kept_height, kept_width = self.size(height, width)
        top, left = (height - kept_height) // 2, (width - kept_width) // 2
        return left, top, left + kept_width, top + kept_height

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops one image.

        Args:
            image: tensor `(h, w, C)` of any type.

        Raises:
            tf.errors.InvalidArgumentError: the box does not lie in the image.
        """
        import tensorflow as tf

        size = tf.shape(image)
        if self.box:
            left, top, right, bottom = self.box
            check = tf.debugging.Assert(
                tf.logical_and(size[0] >= bottom, size[1] >= right),
                [f"An image must hold the box {list(self.box)}. Its height, width:", size[:2]],
            )
            with tf.control_dependencies([check] if check is not None else []):
                return tf.identity(image)[top:bottom, left:right]
        if self.fraction == 1.0:
            return image
        crop = tf.cast(tf.round(tf.cast(size[:2], tf.float64) * self.fraction), tf.int32)
        crop = tf.maximum(crop, 1)
        first = (size[:2] - crop) // 2
        return image[first[0] : first[0] + crop[0], first[1] : first[1] + crop[1]]


WHOLE = Crop()
"""The whole image."""
