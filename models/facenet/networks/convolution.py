"""One convolution of FaceNet's networks, with its nonlinearity and optional normalization."""

import keras

_LEAST_MAPS = 4


def scaled(maps: int, width: float) -> int:
    """Returns the number of feature maps at a width; a branch keeps its first four.

    With fewer maps a rectified branch easily becomes zero everywhere and stays so; none of the
    paper's branches has fewer. 0 maps, a missing branch, remain 0.

    Raises:
        ValueError: `width` is not positive.
    """
    if width <= 0:
        raise ValueError(f"`width` must be positive. Received: width={width}")
    return max(min(maps, _LEAST_MAPS), round(maps * width))


def convolution(
    x: keras.KerasTensor,
    maps: int,
    size: int,
    name: str,
    strides: int = 1,
    batch_norm: bool = False,
    gain: float = 1.0,
) -> keras.KerasTensor:
    """Returns `relu(x * W + b)`, or `relu(BN(x * W))`, with zeros around the image.

    The layers are named `name`, `name_norm` and `name_relu`.

    Args:
        x: tensor `(B, H, W, C)`.
        maps: int ≥ 1, the number of feature maps.
        size: int, the side of the kernel.
        name: string, the convolution's name.
        strides: int, the step of the kernel in both directions.
        batch_norm: bool, whether the convolution is batch-normalized and has no bias.
        gain: float, the factor by which `x` has a larger mean square than the activations before
            it; the initial kernel compensates for it.
    """
    x = keras.layers.Conv2D(
        maps,
        size,
        strides=strides,
        padding="same",
        use_bias=not batch_norm,
        # He et al. 2015: keeps the mean square through a rectified convolution.
        kernel_initializer=keras.initializers.VarianceScaling(2.0 / gain),
        name=name,
    )(x)
    return rectified(x, name, batch_norm)


def rectified(x: keras.KerasTensor, name: str, batch_norm: bool) -> keras.KerasTensor:
    """Returns `relu(x)`, or `relu(BN(x))`, the layers named after the layer `name` before them."""
    if batch_norm:
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
