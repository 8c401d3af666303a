"""Encoded images to pixels, with TensorFlow: the same function in Transform and in a server.

Dimensions: B batch, H height, W width, C channels (1 gray, 3 red, green, blue).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ..images.pixels import decode_jpeg, luma, on_white, resize

if TYPE_CHECKING:
    import numpy as np

_BEGINNINGS = (b"\xff\xd8", b"\x89P", b"GI", b"BM")
"""The first two bytes of JPEG, PNG, GIF and BMP files."""

_IN_PARALLEL = 8


@dataclasses.dataclass(frozen=True)
class ImageDecoder:
    """Decodes images to one shape, with TensorFlow operations alone.

    - JPEGs are decoded with the accurate integer transform; of 16-bit PNGs the upper 8 bits count.
    - PNGs with transparency are laid on white. Transparent pixels of GIFs are black, of an animated
      GIF the first picture counts, and the fourth byte of a BMP's pixels does not.
    - Colors become gray by the luma of ITU-R BT.601, `0.299 R + 0.587 G + 0.114 B`, rounded.
    - An image of another size is resized bilinearly with antialiasing; its aspect ratio is not
      kept, and the orientation in EXIF data is not looked at.

    Args:
        height: integer, H.
        width: integer, W.
        channels: integer, C: 1 or 3.
        binarize: whether a pixel becomes 255 if it is above half of the range, that is at least
            128, and else 0.

    Example:

    ```python
    decode = ImageDecoder(28, 28, 1)
    decode(png_bytes)           # uint8 tensor (28, 28, 1)
    decode.batch([png_bytes])   # uint8 tensor (1, 28, 28, 1)
    ```
    """

    height: int
    width: int
    channels: int
    binarize: bool = False

    @classmethod
    def from_assets(cls, image_shape: Sequence[str], binarize: Sequence[str]) -> ImageDecoder:
        """Returns the decoder that the assets of Transform describe."""
        height, width, channels = (int(line) for line in image_shape)
        return cls(height, width, channels, list(binarize) == ["true"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, W and C."""
        return self.height, self.width, self.channels

    def __call__(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes one image.

        Args:
            encoded: scalar string tensor, JPEG, PNG, GIF or BMP.

        Returns:
            A uint8 tensor `(H, W, C)`.

        Raises:
            tf.errors.InvalidArgumentError: the bytes are no such image.
        """
        # `decode_image` has every format, but only `decode_jpeg` has the accurate transform. The
        # fourth byte of a BMP's pixels is mostly not used and zero: it says nothing of opacity.
        image = tf.cond(
            _begins(encoded, _BEGINNINGS[:2]),
            lambda: decode_jpeg(encoded),
            lambda: tf.io.decode_image(encoded, expand_animations=False)[..., :3],
        )
        image = tf.cond(_has_shape(image, self.shape), lambda: image, lambda: self._fitted(image))
        return self._binarized(tf.ensure_shape(image, self.shape))

    def of_bytes(self, encoded: bytes) -> np.ndarray:
        """Decodes one image at once, as a call does.

        A JPEG or PNG of the right shape takes one operation, which costs a third of a graph.

        Args:
            encoded: JPEG, PNG, GIF or BMP.

        Returns:
            A uint8 array `(H, W, C)`.

        Raises:
            tf.errors.InvalidArgumentError: the bytes are no such image; see `reason`.
        """
        content = tf.constant(encoded)
        if encoded[:2] in _BEGINNINGS[:2]:
            image = decode_jpeg(content)
            if tuple(image.shape) == self.shape:
                return self._binarized(image).numpy()
        return self._in_graph(content).numpy()

    def batch(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes a batch of images.

        Args:
            encoded: string tensor `(B,)`.

        Returns:
            A uint8 tensor `(B, H, W, C)`.

        Raises:
            tf.errors.InvalidArgumentError: an entry is no image. Then no image of the batch is
                decoded; for what is no file of a known format, the message has its row.
        """
        encoded = tf.convert_to_tensor(encoded, tf.string)
        known = _begins(encoded, _BEGINNINGS)
        check = tf.debugging.Assert(
            tf.reduce_all(known),
            [
                "An image must be the bytes of a JPEG, PNG, GIF or BMP file. Not so in the rows:",
                tf.where(~known)[:, 0],
            ],
        )
        with tf.control_dependencies([check] if check is not None else []):
            encoded = tf.identity(encoded)
        return tf.map_fn(
            self,
            encoded,
            fn_output_signature=tf.TensorSpec(self.shape, tf.uint8),
            parallel_iterations=_IN_PARALLEL,
        )

    @functools.cached_property
    def _in_graph(self) -> Any:
        return tf.function(self, input_signature=[tf.TensorSpec([], tf.string)])

    def _binarized(self, image: tf.Tensor) -> tf.Tensor:
        if not self.binarize:
            return image
        return tf.where(image > 127, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))

    def _fitted(self, image: tf.Tensor) -> tf.Tensor:
        image = tf.switch_case(
            tf.shape(image)[-1] - 1,
            [
                lambda: self._of_colors(image, 1),
                lambda: self._of_colors(on_white(image), 1),
                lambda: self._of_colors(image, 3),
                lambda: self._of_colors(on_white(image), 3),
            ],
        )
        size = (self.height, self.width)
        return tf.cond(
            _has_shape(image, (*size, self.channels)), lambda: image, lambda: resize(image, size)
        )

    def _of_colors(self, image: tf.Tensor, colors: int) -> tf.Tensor:
        image = tf.ensure_shape(image, [None, None, colors])
        if colors < self.channels:
            return tf.repeat(image, self.channels, axis=-1)
        if colors > self.channels:
            return luma(image)
        return image


def _begins(encoded: tf.Tensor, beginnings: Sequence[bytes]) -> tf.Tensor:
    """Whether encoded images begin with one of some pairs of bytes."""
    first = tf.strings.substr(encoded, 0, 2)
    return tf.reduce_any(first[..., None] == tf.constant(beginnings), axis=-1)


def _has_shape(image: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_all(tf.shape(image) == tf.constant(shape))
