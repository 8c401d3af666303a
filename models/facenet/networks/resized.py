"""A model that makes images as large as another one reads them."""

import keras
from keras import ops


def resized(model, image_shape, name=None):
    """Wraps an embedding model: it reads images of another size.

    Images are interpolated bilinearly. Half the size is the mean of 2×2 pixels; smaller than that,
    pixels between are left out.

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
    # Not antialiased, for which TensorFlow has no kernel that XLA can compile; and no `Resizing`,
    # behind which Keras calls layers as in training where nobody says `training=False`.
    smaller = ops.image.resize(image, (height, width), data_format="channels_last")
    return keras.Model(image, model(smaller), name=name)
