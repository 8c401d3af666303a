"""A model that resizes images to the input size of another model."""

from collections.abc import Sequence

import keras
from keras import ops


def resized(model: keras.Model, image_shape: Sequence[int], name: str | None = None) -> keras.Model:
    """Wraps an embedding model: it reads images of another size.

    Images are interpolated bilinearly. At half the size each pixel is the mean of 2×2 pixels; at
    smaller sizes some pixels are skipped.

    Example:

    ```python
    small = small_network((80, 64, 1))
    resized(small, (160, 128, 1))(np.zeros((2, 160, 128, 1), "float32")).shape  # (2, 128)
    ```

    Args:
        model: a `keras.Model` from images `(B, h, w, C)` to `(B, D)`.
        image_shape: tuple of int, `(H, W, C)`.
        name: string, the new model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, H, W, C)` to `(B, D)`. The weights are shared
        with `model`.
    """
    image = keras.Input(tuple(image_shape), name="image")
    height, width, _ = model.input_shape[1:]
    # Not antialiased, since XLA cannot compile TensorFlow's kernel for that. Not `Resizing`, after
    # which Keras calls layers in training mode unless `training=False` is passed.
    smaller = ops.image.resize(image, (height, width), data_format="channels_last")
    return keras.Model(image, model(smaller), name=name)
