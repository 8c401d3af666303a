"""Pixels in TensorFlow: what the decoders of different kinds of images have in common.

Dimensions: B batch, H height, W width, C channels (1 gray, 3 red, green, blue).
"""

from __future__ import annotations

import re

import tensorflow as tf

_PLACE = re.compile(r"\{\{[^}]*\}\}\s*|\s*\[Op:[^\]]*\]")


def decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG with the accurate integer transform, to uint8 `(H, W, C)`."""
    # The default of the fraction is the integer 1, for which TensorFlow leaves its fast path.
    return tf.io.decode_jpeg(encoded, acceptable_fraction=1.0, dct_method="INTEGER_ACCURATE")


def on_white(image: tf.Tensor) -> tf.Tensor:
    """Lays a uint8 image whose last channel is its opacity on white."""
    values = tf.cast(image, tf.int32)
    colors, opacity = values[..., :-1], values[..., -1:]
    return tf.cast((colors * opacity + 255 * (255 - opacity) + 127) // 255, tf.uint8)


def luma(image: tf.Tensor) -> tf.Tensor:
    """Returns colors as gray, `0.299 R + 0.587 G + 0.114 B` rounded (ITU-R BT.601), uint8."""
    # Sums to 65,536, so that gray stays what it is.
    weights = tf.constant([19595, 38470, 7471])
    sums = tf.reduce_sum(tf.cast(image, tf.int32) * weights, axis=-1, keepdims=True)
    return tf.cast((sums + 32768) // 65536, tf.uint8)


def rounded(values: tf.Tensor) -> tf.Tensor:
    """Returns floats as uint8, rounded and clipped to [0, 255]."""
    return tf.cast(tf.clip_by_value(tf.round(values), 0.0, 255.0), tf.uint8)


def resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resizes a uint8 image bilinearly with antialiasing to `(height, width)`."""
    return rounded(tf.image.resize(tf.cast(image, tf.float32), size, antialias=True))


def to_floats(pixels: tf.Tensor) -> tf.Tensor:
    """Returns uint8 pixels as float32 in [0, 1], what models take."""
    return tf.cast(pixels, tf.float32) / 255.0


def reason(error: tf.errors.OpError) -> str:
    """Returns what an operation complained of, without where the operation stands."""
    lines = _PLACE.sub("", error.message.partition("\n\t [[")[0]).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
