"""The fully connected sigmoid network of the paper's first experiment."""

import keras

from .batch_normalization import BatchNormalization


def sigmoid_network(
    input_shape: tuple[int, ...],
    classes: int,
    hidden: int = 3,
    units: int = 100,
    batch_norm: bool = True,
    stddev: float = 0.1,
    name: str | None = None,
) -> keras.Model:
    """Builds the network of section 4.1: hidden layers `z = sigmoid(BN(Wu))`, then softmax.

    Ioffe & Szegedy 2015 (arXiv 1502.03167) use three hidden layers of 100 sigmoid units, weights
    that begin as small Gaussian values, and one output per class with cross-entropy. With batch
    normalization each hidden layer is `z = g(BN(Wu))`: the bias `b` of `z = g(Wu + b)` is left out,
    since β takes its place (section 3.2). The paper does not say how small the Gaussian is.

    Layers are named `hidden_1` (linear), `hidden_1_norm`, `hidden_1_sigmoid`, …, `probabilities`.

    Example:

    ```python
    model = sigmoid_network((28, 28, 1), classes=10)
    probabilities = model(np.zeros((2, 28, 28, 1), "float32"))  # shape (2, 10)
    ```

    Args:
        input_shape: tuple of int, the shape of an image, `(height, width, channels)`.
        classes: int ≥ 2, the number of classes K.
        hidden: int ≥ 1, the number of hidden layers.
        units: int ≥ 1, the units of a hidden layer.
        batch_norm: bool, whether hidden layers are batch-normalized.
        stddev: float > 0, standard deviation of the initial weights.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, *input_shape)`, float, to probabilities
        `(B, K)`, float.

    Raises:
        ValueError: `hidden`, `units`, `classes` or `stddev` is out of its range.
    """
    for argument, value, least in (
        ("hidden", hidden, 1),
        ("units", units, 1),
        ("classes", classes, 2),
    ):
        if value < least:
            raise ValueError(f"`{argument}` must be at least {least}. Received: {argument}={value}")
    if stddev <= 0:
        raise ValueError(f"`stddev` must be positive. Received: stddev={stddev}")

    def initializer():
        return keras.initializers.RandomNormal(stddev=stddev)

    image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(image)
    for number in range(1, hidden + 1):
        x = keras.layers.Dense(
            units,
            use_bias=not batch_norm,
            kernel_initializer=initializer(),
            name=f"hidden_{number}",
        )(x)
        if batch_norm:
            x = BatchNormalization(name=f"hidden_{number}_norm")(x)
        x = keras.layers.Activation("sigmoid", name=f"hidden_{number}_sigmoid")(x)
    # Probabilities stay in float32 under mixed precision.
    probabilities = keras.layers.Dense(
        classes,
        activation="softmax",
        kernel_initializer=initializer(),
        dtype="float32",
        name="probabilities",
    )(x)
    return keras.Model(image, probabilities, name=name)
