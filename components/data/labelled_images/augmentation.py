"""Random shifts, mirror images, brightness and contrast for batches of images.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

import tensorflow as tf


def augment(
    dataset: tf.data.Dataset,
    seed: int,
    shift: int = 4,
    flip: bool = True,
    brightness: float = 0.2,
    contrast: float = 0.2,
) -> tf.data.Dataset:
    """Distorts each image at random.

    What is drawn depends on the seed and on the number of the batch in this pass only, so that a
    training that resumes after a kill, with `augment(…).skip(done)`, sees the same batches.

    Args:
        dataset: batches of float images `(B, H, W, C)` in [0, 1] and labels.
        seed: integer.
        shift: integer. An image moves by up to this number of pixels in both directions, uniformly;
            pixels from outside are 0. 0 for none.
        flip: boolean. Whether half of the images are mirrored left to right.
        brightness: float. A number in ±`brightness` is added to an image. 0 for none.
        contrast: float. The differences from the mean of each channel are multiplied by a number
            in 1 ± `contrast`. 0 for none.

    Returns:
        Such batches, clipped to [0, 1].

    Raises:
        ValueError: a size is out of range.

    Example:

    ```python
    train = data.batches("train", 128, seed=1, repeat=True)
    train = augment(train, seed=1, shift=4)
    ```
    """
    if shift < 0 or not 0 <= brightness <= 1 or not 0 <= contrast <= 1:
        raise ValueError(
            f"shift must not be negative, brightness and contrast be in [0, 1]. "
            f"Received: shift={shift}, brightness={brightness}, contrast={contrast}"
        )

    def distorted(
        number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        drawn = tf.random.stateless_uniform(
            [5, tf.shape(images)[0]], seed=tf.stack([tf.constant(seed, tf.int64), number])
        )
        if shift or flip:
            images = _moved(images, drawn, shift, flip)
        if brightness or contrast:
            images = _lit(images, drawn, brightness, contrast)
        return images, labels

    counted = tf.data.Dataset.zip((tf.data.Dataset.counter(), dataset))
    return counted.map(distorted).prefetch(2)


def _moved(images: tf.Tensor, drawn: tf.Tensor, shift: int, flip: bool) -> tf.Tensor:
    """Takes each pixel from where it lay; one gather does for shift and mirror image."""
    batch, height, width, channels = tf.unstack(tf.shape(images))
    padded = tf.pad(images, [[0, 0], [shift, shift], [shift, shift], [0, 0]])
    offsets = tf.cast(tf.floor(drawn[:2] * (2 * shift + 1)), tf.int32)
    rows = tf.range(height)[None, :] + offsets[0][:, None]
    columns = tf.range(width)[None, :]
    if flip:
        columns = tf.where(drawn[2][:, None] < 0.5, width - 1 - columns, columns)
    columns = columns + offsets[1][:, None]
    tall, wide = height + 2 * shift, width + 2 * shift
    lines = tf.range(batch)[:, None] * tall + rows
    flat = lines[:, :, None] * wide + columns[:, None, :]
    moved = tf.gather(tf.reshape(padded, [-1, channels]), tf.reshape(flat, [-1]))
    return tf.ensure_shape(tf.reshape(moved, tf.shape(images)), images.shape)


def _lit(images: tf.Tensor, drawn: tf.Tensor, brightness: float, contrast: float) -> tf.Tensor:
    signs = 2.0 * drawn[3:5, :, None, None, None] - 1.0
    if contrast:
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        images = mean + (images - mean) * (1.0 + contrast * signs[1])
    if brightness:
        images = images + brightness * signs[0]
    return tf.clip_by_value(images, 0.0, 1.0)
