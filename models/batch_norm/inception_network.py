"""A small Inception network for images of 8×8 pixels and more, with and without normalization."""

import keras

from ..layers.local_response_normalization import LocalResponseNormalization
from .batch_normalization import BatchNormalization

_POOLED_LEAST = 8


def inception_network(
    input_shape: tuple[int, int, int],
    classes: int,
    width: float = 1.0,
    batch_norm: bool = True,
    activation: str = "relu",
    local_response_norm: bool = False,
    dropout: float = 0.0,
    l2: float = 0.0,
    momentum: float | None = 0.99,
    name: str | None = None,
) -> keras.Model:
    """Builds a small network of the Inception family, for experiments on two cores.

    The network of Ioffe & Szegedy 2015 (arXiv 1502.03167, section 4.2 and appendix) is Inception
    with each 5×5 convolution replaced by two of 3×3; ours keeps the modules and is small: a 3×3
    convolution, then two stages of modules with branches 1×1, 3×3, double 3×3 and pooling with
    projection, the first halving the image, then the mean over positions and one linear layer.
    With batch normalization every convolution is `g(BN(Wu))` without a bias; without it
    `g(Wu + b)`, as in the paper's baseline.

    Convolutions are named `stem`, `a1_1x1`, `a1_3x3_reduce`, …; their normalization and
    nonlinearity carry the suffixes `_norm` and `_relu` or `_sigmoid`.

    Example:

    ```python
    model = inception_network((32, 32, 3), classes=10, width=0.5)
    probabilities = model(np.zeros((2, 32, 32, 3), "float32"))  # shape (2, 10)
    ```

    Args:
        input_shape: tuple of int, `(height, width, channels)` of an image, both sides at least 8.
        classes: int ≥ 2, the number of classes K.
        width: float > 0, scales the number of feature maps of every convolution.
        batch_norm: bool, whether every convolution is batch-normalized.
        activation: string, the nonlinearity `g`: `"relu"` or `"sigmoid"`, or another of Keras.
        local_response_norm: bool, whether the stem's output is normalized as in Inception.
        dropout: float in [0, 1), dropout before the last layer.
        l2: float ≥ 0, weight of the L2 penalty on kernels.
        momentum: float in [0, 1) or `None`, of the moving statistics, see `BatchNormalization`.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, *input_shape)`, float in [0, 1], to
        probabilities `(B, K)`, float.

    Raises:
        ValueError: the image is too small, or `classes` or `width` is out of its range.
    """
    height, columns, _ = input_shape
    if min(height, columns) < _POOLED_LEAST:
        raise ValueError(
            f"Both sides of the image must be at least {_POOLED_LEAST} pixels. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    if classes < 2:
        raise ValueError(f"`classes` must be at least 2. Received: classes={classes}")
    if width <= 0:
        raise ValueError(f"`width` must be positive. Received: width={width}")

    def convolution(x, maps, size, name, strides=1):
        x = keras.layers.Conv2D(
            max(4, round(maps * width)),
            size,
            strides=strides,
            padding="same",
            use_bias=not batch_norm,
            # Keeps the variance through the nonlinearity, which only the baseline depends on.
            kernel_initializer="he_normal" if activation == "relu" else "glorot_normal",
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=name,
        )(x)
        if batch_norm:
            x = BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
        return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)

    def module(x, name, maps, strides=1):
        """Branches 1×1, 3×3, double 3×3 and pooling; with strides the 1×1 one is missing."""
        one, three_reduce, three, double_reduce, double, projection = maps
        pooling = keras.layers.MaxPooling2D if strides > 1 else keras.layers.AveragePooling2D
        pooled = pooling(3, strides=strides, padding="same", name=f"{name}_pool")(x)
        branches = [] if strides > 1 else [convolution(x, one, 1, f"{name}_1x1")]
        y = convolution(x, three_reduce, 1, f"{name}_3x3_reduce")
        branches.append(convolution(y, three, 3, f"{name}_3x3", strides))
        y = convolution(x, double_reduce, 1, f"{name}_double_3x3_reduce")
        y = convolution(y, double, 3, f"{name}_double_3x3_1")
        branches.append(convolution(y, double, 3, f"{name}_double_3x3_2", strides))
        # Where the grid is halved the pooled maps pass through as they are, as in the paper.
        projected = pooled if strides > 1 else convolution(pooled, projection, 1, f"{name}_proj")
        return keras.layers.Concatenate(name=name)([*branches, projected])

    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="centered")(image)
    x = convolution(x, 24, 3, "stem", strides=2 if min(height, columns) >= 16 else 1)
    if local_response_norm:
        x = LocalResponseNormalization(name="stem_local_response_norm")(x)
    x = module(x, "a1", (12, 12, 16, 8, 16, 8))
    x = module(x, "a2", (0, 16, 24, 12, 24, 0), strides=2)
    x = module(x, "b1", (24, 24, 32, 16, 32, 16))
    x = module(x, "b2", (32, 24, 40, 16, 40, 16))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # Probabilities stay in float32 under mixed precision.
    probabilities = keras.layers.Dense(
        classes,
        activation="softmax",
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        dtype="float32",
        name="probabilities",
    )(x)
    return keras.Model(image, probabilities, name=name)
