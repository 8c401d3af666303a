"""The layer that FaceNet's networks end with: a vector on the unit sphere."""

from typing import Any

import keras
from keras import ops

from ...checks import positive_integer
from ...types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class UnitEmbedding(keras.layers.Layer):
    """A linear map to `size` numbers, divided by their Euclidean length (section 3).

    `y = Wx + b`, `output = y / ‖y‖`. Where ‖y‖ is below 1e-6 there is no direction: output and
    gradient are zero, not NaN. The length is computed at least in float32. Squared distances
    between outputs lie in [0, 4].

    Under mixed precision the output has the compute dtype; in bfloat16 its rounding changes
    distances by about 0.01. `dtype="float32"` avoids that at little cost beside a network.

    Example:

    ```python
    layer = UnitEmbedding(size=128)
    embedding = layer(np.random.rand(2, 1024))  # (2, 128), each row of length 1
    ```

    Args:
        size: int, the dimension of the embedding, 64 to 512 in the paper. Defaults to 128.
        use_bias: bool. Defaults to True.
        kernel_initializer: as in `keras.layers.Dense`. Defaults to `"glorot_uniform"`.
        kernel_regularizer: as in `keras.layers.Dense`. Defaults to `None`.

    Input shape:
        `(..., F)`.

    Output shape:
        `(..., size)`.

    Reference:
        Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv 1503.03832.
    """

    def __init__(
        self,
        size: int = 128,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        kernel_regularizer: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = positive_integer("size", size)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Creates the weights."""
        if input_shape[-1] is None:
            raise ValueError(
                "The number of features must be known: flatten or pool the input to a fixed size. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.size),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.size,), initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the unit vectors."""
        linear = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            linear = linear + self.bias
        wide = linear if self.compute_dtype == "float64" else ops.cast(linear, "float32")
        squares = ops.sum(ops.square(wide), axis=-1, keepdims=True)
        tiny = squares < 1e-12
        unit = wide * ops.rsqrt(ops.where(tiny, ops.ones_like(squares), squares))
        return ops.cast(ops.where(tiny, ops.zeros_like(unit), unit), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return (*input_shape[:-1], self.size)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        config = {
            "size": self.size,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
        return {**super().get_config(), **config}
