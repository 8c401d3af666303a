"""A model that embeds an image and its mirror image and returns their mean direction."""

import keras
from keras import ops

from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class MirrorImage(keras.layers.Layer):
    """Mirrors images `(B, H, W, C)` left to right."""

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the mirror images."""
        return ops.flip(inputs, axis=2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return tuple(input_shape)


def mirrored(model: keras.Model, name: str | None = None) -> keras.Model:
    """Wraps an embedding model: an image and its mirror image count alike.

    `f'(x) = (f(x) + f(mirror x)) / ‖f(x) + f(mirror x)‖`. Used after training; it takes twice the
    time and embeds an image and its mirror image at the same point. The weights are shared with
    `model`.

    Example:

    ```python
    trained = small_network((80, 64, 1))
    served = mirrored(trained)
    ```

    Args:
        model: a `keras.Model` from images `(B, H, W, C)` to unit embeddings `(B, D)`.
        name: string, the new model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, H, W, C)` to unit embeddings `(B, D)`, float32.
    """
    image = keras.Input(model.input_shape[1:], name="image")
    both = keras.layers.Add(dtype="float32", name="both")(
        [model(image), model(MirrorImage(name="mirror_image")(image))]
    )
    unit = keras.layers.UnitNormalization(dtype="float32", name="embedding")(both)
    return keras.Model(image, unit, name=name)
