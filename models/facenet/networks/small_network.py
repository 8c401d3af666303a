"""A small network for faces that trains from scratch in minutes on two cores."""

import collections.abc
from collections.abc import Sequence

import keras

from ...checks import is_integer, is_real
from .energy_normalization import EnergyNormalization
from .gabor_magnitudes import GaborMagnitudes

_LEAST = 32


def small_network(
    image_shape: Sequence[int],
    embedding_size: int = 128,
    orientations: int = 8,
    scales: int = 3,
    maps: Sequence[int] = (48, 48, 96),
    dropout: float = 0.3,
    momentum: float = 0.95,
    name: str | None = None,
) -> keras.Model:
    """Builds a small embedding network whose first layer is not learned.

    Gabor magnitudes of the image at `scales` sizes, each half of the previous one, give
    `orientations` maps per scale, averaged over small windows and normalized by their energy. Two
    branches read them and are added: one matrix over all places and maps, as in Fisher-vector faces
    (Simonyan et al. 2013, section 3.2: descriptors, then a learned projection), and 3×3
    convolutions with batch normalization, added to their input if it has as many maps, with mean
    pooling after every second one. Batch normalization and division by the norm follow, as
    FaceNet's networks end with an L2 normalization.

    Example:

    ```python
    model = small_network((80, 64, 1), embedding_size=128)
    embeddings = model(np.zeros((2, 80, 64, 1), "float32"))  # shape (2, 128), norm 1
    ```

    Args:
        image_shape: tuple of int, `(height, width, channels)`, both sides at least 32.
        embedding_size: int ≥ 1, D.
        orientations: int ≥ 1, directions of the Gabor wavelets.
        scales: int in [1, 3], sizes at which the image is filtered.
        maps: tuple of int ≥ 1, feature maps of each convolution; empty for the matrix alone.
        dropout: float in [0, 1), dropout rate of the inputs of the two projections.
        momentum: float in [0, 1), of batch normalization's moving statistics.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, *image_shape)`, float in [0, 1], to unit
        embeddings `(B, embedding_size)`, float32.

    Raises:
        ValueError: the image is too small or of unknown size, or an argument is out of its range.
    """
    if isinstance(image_shape, collections.abc.Iterable):
        image_shape = tuple(image_shape)
    if not _is_shape(image_shape):
        raise ValueError(
            f"`image_shape` must be (height, width, channels) with sides of at least {_LEAST} "
            f"pixels. Received: image_shape={image_shape!r}"
        )
    for option, value in (("dropout", dropout), ("momentum", momentum)):
        if not is_real(value) or not 0 <= value < 1:
            raise ValueError(f"`{option}` must be in [0, 1). Received: {option}={value!r}")
    if embedding_size < 1 or not 1 <= scales <= 3 or any(number < 1 for number in maps):
        raise ValueError(
            "`embedding_size` and each of `maps` must be at least 1 and `scales` be in [1, 3]. "
            f"Received: embedding_size={embedding_size}, maps={maps}, scales={scales}"
        )

    def norm(x, name, **options):
        return keras.layers.BatchNormalization(momentum=momentum, name=name, **options)(x)

    def projection(x, name):
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)
        return keras.layers.Dense(embedding_size, use_bias=False, name=f"{name}_projection")(x)

    image = keras.Input(image_shape, name="image")
    smoothed, fine = _magnitudes(image, orientations, scales)
    x = keras.layers.Concatenate(name="smoothed")(smoothed)
    # Each place has its own mean, which removes what all faces have in common there.
    x = keras.layers.Flatten(name="matrix_features")(x)
    branches = [projection(norm(x, "matrix_norm", center=False, scale=False), "matrix")]
    x = keras.layers.Concatenate(name="fine")(fine)
    x = norm(x, "fine_norm", center=False, scale=False)
    for number, count in enumerate(maps, start=1):
        y = keras.layers.Conv2D(
            count,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        y = keras.layers.ReLU(name=f"conv{number}_relu")(norm(y, f"conv{number}_norm"))
        residual = x.shape[-1] == count
        x = keras.layers.Add(name=f"residual{number}")([x, y]) if residual else y
        if number % 2 == 0:
            x = keras.layers.AveragePooling2D(2, padding="same", name=f"pool{number}")(x)
    if maps:
        x = keras.layers.Flatten(name="convolutions_features")(x)
        branches.append(projection(x, "convolutions"))
        x = keras.layers.Add(name="sum")(branches)
    else:
        (x,) = branches
    x = norm(x, "sum_norm", center=False, scale=False)
    unit = keras.layers.UnitNormalization(dtype="float32", name="embedding")(x)
    return keras.Model(image, unit, name=name)


def _is_shape(shape):
    """Returns whether images of this shape can be embedded."""
    return (
        isinstance(shape, tuple)
        and len(shape) == 3
        and all(is_integer(size) for size in shape)
        and min(shape[:2]) >= _LEAST
        and shape[2] >= 1
    )


def _magnitudes(image, orientations, scales):
    """Returns Gabor magnitudes of each scale, on grids of a quarter of the image's sides.

    Two lists: averaged over windows that overlap, for the matrix, which has no notion of
    neighbors; and over no more than the grid's spacing, for the convolutions.
    """
    smoothed, fine = [], []
    x = image
    for scale in range(1, scales + 1):
        y = GaborMagnitudes(orientations, strides=2 if scale == 1 else 1, name=f"gabor{scale}")(x)
        window, step = (4, 2) if scale <= 2 else (3, 1)
        mean = keras.layers.AveragePooling2D(window, step, padding="same", name=f"mean{scale}")(y)
        smoothed.append(EnergyNormalization(name=f"smoothed{scale}")(mean))
        if scale <= 2:
            y = keras.layers.AveragePooling2D(2, padding="same", name=f"fine_mean{scale}")(y)
        fine.append(EnergyNormalization(name=f"fine{scale}")(y))
        x = keras.layers.AveragePooling2D(2, padding="same", name=f"half{scale}")(x)
    return smoothed, fine
