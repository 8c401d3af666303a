"""Several embedding networks as one."""

from collections.abc import Sequence

import keras
import numpy as np


def joined_network(networks: Sequence[keras.Model], name: str | None = None) -> keras.Model:
    """Builds a network whose embedding is those of several networks, side by side.

    `f(x) = (f₁(x), …, f_M(x)) / √M`, so that the squared distance of two images is the mean of the
    M networks' squared distances and stays in [0, 4]. Networks with different features or layers
    make different errors, and fewer together.

    Example:

    ```python
    first, second = small_network((80, 64, 1)), small_network((80, 64, 1), maps=())
    joined = joined_network([first, second])
    joined(np.zeros((2, 80, 64, 1), "float32")).shape  # (2, 256)
    ```

    Args:
        networks: sequence of at least one functional or built sequential `keras.Model` from images
            `(B, H, W, C)`, of the same shape, to unit embeddings `(B, D_m)`. Their weights are
            shared with the new model.
        name: string, the new model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, H, W, C)` to unit embeddings `(B, Σ D_m)`,
        float32.

    Raises:
        ValueError: there is no network, or the networks read images of different shapes.
    """
    networks = list(networks)
    shapes = list(dict.fromkeys(network.input_shape[1:] for network in networks))
    if len(shapes) != 1:
        raise ValueError(
            "`networks` must be at least one network, and all must read images of one shape. "
            f"Received: {len(networks)} networks of the input shapes {shapes}"
        )
    image = keras.Input(shapes[0], name="image")
    x = keras.layers.Concatenate(dtype="float32", name="side_by_side")(
        # Each with its own name: networks read from files may have the same names.
        [
            keras.Model(network.inputs[0], network.outputs[0], name=f"network{number}")(image)
            for number, network in enumerate(networks, start=1)
        ]
    )
    scale = 1 / np.sqrt(len(networks))
    unit = keras.layers.Rescaling(scale, dtype="float32", name="embedding")(x)
    return keras.Model(image, unit, name=name)
