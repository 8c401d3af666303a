"""Encoded faces to pixels, with TensorFlow: the same function in Transform and in a server.

Dimensions: B batch, H height, W width, C channels (1 gray, 3 red, green, blue).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ..images.pixels import decode_jpeg, luma, on_white, rounded
from .alignment import EyeAlignment
from .cropping import WHOLE, Crop

if TYPE_CHECKING:
    import numpy as np

_JPEG, _PNG = b"\xff\xd8", b"\x89P"


@dataclasses.dataclass(frozen=True)
class FaceDecoder:
    """Decodes images of faces to one shape, with TensorFlow operations alone.

    - JPEGs are decoded with the accurate integer transform; of 16-bit PNGs the upper 8 bits count.
    - PNGs with transparency are laid on white. Transparent pixels of GIFs are black, of an animated
      GIF the first picture counts. The orientation in EXIF data is not looked at.
    - The image is cropped, or aligned where the decoder aligns and the eyes are known.
    - Another size is resized bilinearly with antialiasing; the aspect ratio is not kept.
    - Colors become gray by the luma of ITU-R BT.601, `0.299 R + 0.587 G + 0.114 B`, rounded.

    Args:
        height: integer, H.
        width: integer, W.
        channels: integer, C: 1 or 3.
        crop: `Crop`. What of an image is used.
        alignment: `EyeAlignment` to `(H, W)`, or `None`.

    Example:

    ```python
    decoder = FaceDecoder(64, 64, 3)
    decoder.of_bytes(jpeg)             # uint8 array (64, 64, 3)
    decoder.one(tf.constant(jpeg))     # the same as a tensor, also inside a graph
    ```
    """

    height: int
    width: int
    channels: int
    crop: Crop = WHOLE
    alignment: EyeAlignment | None = None

    @classmethod
    def from_assets(cls, image_shape: Sequence[str], crop: Sequence[str]) -> FaceDecoder:
        """Returns the decoder that the assets of Transform describe.

        Args:
            image_shape: three lines, H, W and C.
            crop: one line of JSON, see `transforms.Analyze`.
        """
        height, width, channels = (int(line) for line in image_shape)
        settings = json.loads("".join(crop))
        aligned = settings.pop("align", None)
        alignment = EyeAlignment(height, width, **aligned) if aligned else None
        return cls(height, width, channels, Crop.from_settings(settings), alignment)

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, W and C."""
        return self.height, self.width, self.channels

    def one(self, image: tf.Tensor, eyes: tf.Tensor | None = None) -> tf.Tensor:
        """Decodes one image.

        Args:
            image: scalar string tensor: JPEG, PNG, GIF or BMP.
            eyes: float32 tensor `(4,)` or `(0,)`, see `EyeAlignment`. Only a decoder that aligns
                looks at them; without eyes the image is cropped.

        Returns:
            A uint8 tensor `(H, W, C)`.

        Raises:
            tf.errors.InvalidArgumentError: the bytes are no such image, or it is smaller than the
                box to which it is to be cropped.
        """
        pixels = _decoded(image)
        if self.alignment is None or eyes is None:
            return self._cropped(pixels)
        return tf.cond(
            tf.size(eyes) == 4,
            lambda: self._finished(
                self.alignment(tf.cast(pixels, tf.float32), tf.cast(eyes, tf.float32))
            ),
            lambda: self._cropped(pixels),
        )

    def of_bytes(self, image: bytes, eyes: Sequence[float] = ()) -> np.ndarray:
        """Decodes one image at once, as `one` does.

        A JPEG that needs no more than to be cut takes one operation, a fifth of a graph's time.

        Args:
            image: JPEG, PNG, GIF or BMP.
            eyes: four numbers or none.

        Returns:
            A uint8 array `(H, W, C)`.

        Raises:
            tf.errors.InvalidArgumentError: as `one` does; see `reason`.
        """
        content = tf.constant(image)
        if image[:2] == _JPEG and not (self.alignment and len(eyes)):
            pixels = decode_jpeg(content).numpy()
            left, top, right, bottom = self.crop.bounds(*pixels.shape[:2])
            if (bottom - top, right - left, pixels.shape[2]) == self.shape:
                cut = pixels[top:bottom, left:right]
                if cut.shape == self.shape:
                    return cut
        return self._graph(content, tf.constant(eyes, tf.float32)).numpy()

    @functools.cached_property
    def _graph(self) -> Any:
        return tf.function(
            self.one,
            input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([None], tf.float32)],
        )

    def _cropped(self, pixels: tf.Tensor) -> tf.Tensor:
        pixels = self.crop(pixels)
        return tf.cond(
            tf.reduce_all(tf.shape(pixels)[:2] == tf.constant([self.height, self.width])),
            lambda: self._of_colors(pixels),
            lambda: self._finished(
                tf.image.resize(
                    tf.cast(pixels, tf.float32), (self.height, self.width), antialias=True
                )
            ),
        )

    def _finished(self, values: tf.Tensor) -> tf.Tensor:
        return self._of_colors(rounded(values))

    def _of_colors(self, pixels: tf.Tensor) -> tf.Tensor:
        gray = tf.shape(pixels)[-1] == 1
        if self.channels == 1:
            pixels = tf.cond(gray, lambda: pixels, lambda: luma(pixels))
        else:
            pixels = tf.cond(gray, lambda: tf.repeat(pixels, 3, axis=-1), lambda: pixels)
        return tf.ensure_shape(pixels, self.shape)


def _decoded(image: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image as uint8 `(h, w, 1)` or `(h, w, 3)`."""
    beginning = tf.strings.substr(image, 0, 2)
    # `decode_image` has every format, but only `decode_jpeg` has the accurate transform. The fourth
    # byte of a BMP's pixels is mostly not used and zero: it says nothing of opacity.
    pixels = tf.case(
        [
            (beginning == _JPEG, lambda: decode_jpeg(image)),
            (beginning == _PNG, lambda: _opaque(tf.io.decode_png(image))),
        ],
        default=lambda: tf.io.decode_image(image, expand_animations=False)[..., :3],
    )
    return tf.ensure_shape(pixels, [None, None, None])


def _opaque(pixels: tf.Tensor) -> tf.Tensor:
    """Lays an image whose last channel may be its opacity on white."""
    return tf.cond(tf.shape(pixels)[-1] % 2 == 0, lambda: on_white(pixels), lambda: pixels)
