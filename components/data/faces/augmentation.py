"""Random poses, light, blur and covered parts for batches of face images.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

import math

import tensorflow as tf


def augment(
    dataset: tf.data.Dataset,
    seed: int,
    shift: float = 2.0,
    rotation: float = 5.0,
    scale: float = 0.05,
    flip: bool = True,
    brightness: float = 0.1,
    contrast: float = 0.2,
    blur: float = 0.0,
    erase: float = 0.0,
) -> tf.data.Dataset:
    """Distorts each image at random.

    What is drawn depends on the seed and on the number of the batch in this pass only, so that a
    training that resumes after a kill, with `augment(…).skip(done)`, sees the same batches.
    Every number is drawn uniformly. What comes in from outside the image repeats its border.

    Args:
        dataset: batches of float images `(B, H, W, C)` in [0, 1] and labels.
        seed: integer.
        shift: float in pixels. The image moves by up to so much in both directions. 0 for none.
        rotation: float in degrees, at most 180. The image turns about its center by ±`rotation`. 0
            for none.
        scale: float in [0, 1). Height and width are multiplied by one number in about 1 ± `scale`,
            and their ratio by one in about 1 ± `scale` / 2. 0 for none.
        flip: boolean. Whether half of the images are mirrored left to right.
        brightness: float in [0, 1]. A number in ±`brightness` is added to an image. 0 for none.
        contrast: float in [0, 1]. The differences from the mean of each channel are multiplied by
            a number in 1 ± `contrast`. 0 for none.
        blur: float in [0, 1]. The fraction of images that are replaced by their means over 3×3
            pixels. 0 for none.
        erase: float in [0, 1]. The fraction of images in which a rectangle of 20 to 50 % of the
            height and of the width is filled with one gray. 0 for none.

    Returns:
        Such batches, clipped to [0, 1].

    Raises:
        ValueError: a size is out of range.

    Example:

    ```python
    train = data.balanced_batches("train", identities=100, images=2, seed=1)
    train = augment(train, seed=1, rotation=5)
    ```
    """
    parts = {"brightness": brightness, "contrast": contrast, "blur": blur, "erase": erase}
    if not all(0 <= part <= 1 for part in parts.values()):
        values = ", ".join(f"{name}={part}" for name, part in parts.items())
        raise ValueError(f"{', '.join(parts)} must be in [0, 1]. Received: {values}")
    if shift < 0 or not 0 <= rotation <= 180 or not 0 <= scale < 1:
        raise ValueError(
            "shift must not be negative, rotation be in [0, 180] degrees and scale in [0, 1). "
            f"Received: shift={shift}, rotation={rotation}, scale={scale}"
        )

    def distorted(
        number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        key = tf.stack([tf.constant(seed, tf.int64), number])
        drawn = tf.random.stateless_uniform([15, tf.shape(images)[0]], seed=key)
        signs = 2.0 * drawn - 1.0
        if shift or rotation or scale or flip:
            images = _posed(images, signs[:6], shift, rotation, scale, flip)
        if blur:
            images = tf.where(drawn[6, :, None, None, None] < blur, _blurred(images), images)
        if brightness or contrast:
            images = _lit(images, signs[7:9], brightness, contrast)
        if erase:
            images = _covered(images, drawn[9:15], erase)
        return tf.clip_by_value(images, 0.0, 1.0), labels

    counted = tf.data.Dataset.zip((tf.data.Dataset.counter(), dataset))
    return counted.map(distorted).prefetch(2)


def _posed(
    images: tf.Tensor, signs: tf.Tensor, shift: float, rotation: float, scale: float, flip: bool
) -> tf.Tensor:
    """Takes each pixel from where it lay, between four pixels bilinearly."""
    _, height, width, _ = tf.unstack(tf.cast(tf.shape(images), tf.float32))
    angle = signs[0] * (rotation * math.pi / 180)
    size = 1.0 + scale * signs[1]
    aspect = 1.0 + scale / 2 * signs[2]
    mirror = tf.where(signs[3] < 0, -1.0, 1.0) if flip else tf.ones_like(angle)
    across, along = tf.cos(angle) * size, tf.sin(angle) * size
    # Rows of the matrix from a pixel of the new image to the place in the old one it comes from.
    x_of_x, x_of_y = across * mirror * aspect, -along
    y_of_x, y_of_y = along * mirror * aspect, across
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = center_x - x_of_x * center_x - x_of_y * center_y + shift * signs[4]
    y = center_y - y_of_x * center_x - y_of_y * center_y + shift * signs[5]
    none = tf.zeros_like(x)
    posed = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([x_of_x, x_of_y, x, y_of_x, y_of_y, y, none, none], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
    return tf.ensure_shape(posed, images.shape)


def _blurred(images: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(images, 3, 1, "SAME")


def _lit(images: tf.Tensor, signs: tf.Tensor, brightness: float, contrast: float) -> tf.Tensor:
    signs = signs[:, :, None, None, None]
    mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    return mean + (images - mean) * (1.0 + contrast * signs[0]) + brightness * signs[1]


def _covered(images: tf.Tensor, drawn: tf.Tensor, erase: float) -> tf.Tensor:
    """Fills a rectangle whose center lies anywhere in the image."""
    draw, gray, *place = tf.unstack(drawn[:, :, None, None, None])
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    rows = (tf.range(height)[None, :, None, None] + 0.5) / height
    columns = (tf.range(width)[None, None, :, None] + 0.5) / width
    inside = tf.logical_and(
        tf.abs(rows - place[0]) < 0.1 + 0.15 * place[2],
        tf.abs(columns - place[1]) < 0.1 + 0.15 * place[3],
    )
    return tf.where(tf.logical_and(inside, draw < erase), gray, images)
