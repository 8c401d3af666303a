"""Maxout: a fully connected layer whose units are the maximum of several linear ones."""

import functools
from typing import Any

import keras
from keras import ops

from ...types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class Maxout(keras.layers.Layer):
    """A fully connected layer whose every unit is the largest of p linear pieces.

    `y_u = max_{j < p} (x · W_{uj} + b_{uj})`: Goodfellow et al. 2013 (arXiv 1302.4389), equation of
    section 3. It needs no further nonlinearity. FaceNet's NN1 has two of them with p = 2 (Schroff
    et al. 2015, arXiv 1503.03832, Table 1).

    Example:

    ```python
    y = Maxout(4, pieces=2)(np.ones((3, 5), "float32"))  # shape (3, 4), 2·4·(5 + 1) weights
    ```

    Args:
        units: int ≥ 1, the number of outputs U.
        pieces: int ≥ 1, the number p of linear pieces of each; 1 makes it linear.
        kernel_initializer: of the kernel `(D, U·p)`, of which columns `u·p … u·p + p - 1` are the
            pieces of unit u. The default keeps the mean square from layer to layer: for two pieces
            of a symmetric input the mean square of the larger is that of either.
        bias_initializer: of the bias `(U·p,)`.
        kernel_regularizer: of the kernel.

    Input shape: `(B, ..., D)`, float.

    Output shape: `(B, ..., U)`.

    Raises:
        ValueError: `units` or `pieces` is below 1, or the input's last dimension is unknown.
    """

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        kernel_initializer: Identifier = "lecun_normal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: units={units}")
        if pieces < 1:
            raise ValueError(f"`pieces` must be at least 1. Received: pieces={pieces}")
        self.units = units
        self.pieces = pieces
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        """Creates kernel and bias."""
        dimension = input_shape[-1]
        if dimension is None:
            raise ValueError(
                "The last dimension of the input must be known. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(dimension, self.units * self.pieces),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units * self.pieces,), initializer=self.bias_initializer
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: dimension})

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the maximum of each unit's pieces."""
        linear = ops.matmul(inputs, self.kernel) + self.bias
        pieces = ops.reshape(linear, (*ops.shape(linear)[:-1], self.units, self.pieces))
        # Piece by piece, since `ops.max` refuses an empty batch.
        return functools.reduce(ops.maximum, (pieces[..., j] for j in range(self.pieces)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "units": self.units,
            "pieces": self.pieces,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
