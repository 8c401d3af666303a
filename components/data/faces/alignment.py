"""Turns, scales and moves faces so that their eyes come to fixed places, with TensorFlow."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class EyeAlignment:
    """Puts the eyes of a face at fixed places by a similarity transform.

    Points are in pixels from the upper left corner of an image: the center of its first pixel is
    at (0.5, 0.5). With eyes at `e1` and `e2` and their targets `t1` and `t2` as complex
    numbers `x + iy`, the pixel at `t` of the aligned image is read from the source at

    ```
    e1 + (t - t1) (e2 - e1) / (t2 - t1)
    ```

    bilinearly; beyond its edges the source is continued. A source in which the eyes are farther
    apart than in the result is first shrunk with antialiasing.

    Args:
        height: integer. Height of the aligned image.
        width: integer. Its width.
        eye_distance: float. Between the eyes, as a part of the width.
        eye_height: float. Of the eyes below the top, as a part of the height.
    """

    height: int
    width: int
    eye_distance: float = 0.4
    eye_height: float = 0.4

    @property
    def eyes(self) -> tuple[float, float, float, float]:
        """Where the eyes come to: x and y of the left one, x and y of the right one."""
        half = self.eye_distance * self.width / 2
        top = self.eye_height * self.height
        return self.width / 2 - half, top, self.width / 2 + half, top

    def __call__(self, image: tf.Tensor, eyes: tf.Tensor) -> tf.Tensor:
        """Aligns one image.

        Args:
            image: float32 tensor `(h, w, C)`.
            eyes: float32 tensor `(4,)`, x and y of the eye at the left and of the one at the right,
                which must not be at one place.

        Returns:
            A float32 tensor `(height, width, C)`.
        """
        left_x, left_y, right_x, _ = self.eyes
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        distance = tf.sqrt(tf.square(eyes[2] - eyes[0]) + tf.square(eyes[3] - eyes[1]))
        shrunk = tf.minimum((right_x - left_x) / distance, 1.0)
        smaller = tf.maximum(tf.round(size * shrunk), 1.0)
        image = tf.cond(
            shrunk < 1.0,
            lambda: tf.image.resize(image, tf.cast(smaller, tf.int32), antialias=True),
            lambda: image,
        )
        ratio = tf.where(shrunk < 1.0, smaller / size, tf.ones_like(size))
        eyes = eyes * tf.stack([ratio[1], ratio[0], ratio[1], ratio[0]])
        # Multiplication by the complex number (cosine + i sine), from the result to the source.
        cosine = (eyes[2] - eyes[0]) / (right_x - left_x)
        sine = (eyes[3] - eyes[1]) / (right_x - left_x)
        # The operation counts from the center of the first pixel.
        x, y = left_x - 0.5, left_y - 0.5
        across = eyes[0] - 0.5 - cosine * x + sine * y
        down = eyes[1] - 0.5 - sine * x - cosine * y
        zero = tf.zeros_like(cosine)
        matrix = tf.stack([cosine, -sine, across, sine, cosine, down, zero, zero])
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=image[None],
            transforms=matrix[None],
            output_shape=[self.height, self.width],
            interpolation="BILINEAR",
            fill_mode="NEAREST",
            fill_value=0.0,
        )[0]
