"""Images to embeddings, in batches.

Dimensions: N images, B batch, H height, W width, C channels, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ....components.data.images.pixels import to_floats

BATCH = 128


def compile_embedding(
    model: keras.Model, shape: tuple[int, int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from images to embeddings that runs the model in batches.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        shape: H, W and C.

    Returns:
        A function from uint8 images `(N, H, W, C)` to float32 embeddings `(N, D)`; N is at least 1.
    """
    spec = tf.TensorSpec([None, *shape], tf.uint8)
    compiled = tf.function(
        lambda pixels: tf.cast(model(to_floats(pixels), training=False), tf.float32),
        input_signature=[spec],
        autograph=False,
    )

    def embed(pixels: np.ndarray) -> np.ndarray:
        parts = [
            compiled(pixels[begin : begin + BATCH]).numpy()
            for begin in range(0, len(pixels), BATCH)
        ]
        return np.concatenate(parts)

    return embed


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the squared Euclidean distance of each row of one array to that of another.

    Args:
        first: float (P, D).
        second: float (P, D).

    Returns:
        float64 (P,).
    """
    return np.square(np.subtract(first, second, dtype=np.float64)).sum(axis=1)
