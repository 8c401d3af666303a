"""Local response normalization, which networks had before batch normalization."""

from typing import Any

import keras
from keras import ops

from ..types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each activation by a power of the energy of its neighboring feature maps.

    `y_c = x_c / (bias + α/n · Σ_{c'} x_{c'}²)^β`, the sum over the `n = size` feature maps around
    `c` (fewer at the ends). Krizhevsky et al. 2012, section 3.3, with α divided by the window's
    size. The Inception network that Ioffe & Szegedy 2015 (arXiv 1502.03167) compare with has it;
    section 4.2.1 removes it where there is batch normalization. FaceNet's networks (Schroff et al.
    2015, arXiv 1503.03832, Tables 1 and 2) have it as "rnorm" and "norm".

    Example:

    ```python
    y = LocalResponseNormalization()(np.ones((2, 8, 8, 16), "float32"))  # shape (2, 8, 8, 16)
    ```

    Args:
        size: odd int, the number n of feature maps in the window.
        alpha: float ≥ 0, the weight of the energy.
        beta: float, the exponent.
        bias: float > 0, added to the energy.

    Input shape: `(B, ..., C)`, float, channels last.

    Output shape: the same.

    Raises:
        ValueError: `size` is even or below 1, or `bias` is not positive.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"`size` must be odd and at least 1. Received: size={size}")
        if bias <= 0:
            raise ValueError(f"`bias` must be positive. Received: bias={bias}")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.bias = bias

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the normalized activations."""
        half, channels = self.size // 2, inputs.shape[-1]
        around = [(0, 0)] * (len(inputs.shape) - 1) + [(half, half)]
        squares = ops.pad(ops.square(ops.cast(inputs, "float32")), around)
        energy = sum(squares[..., first : first + channels] for first in range(self.size))
        scale = ops.power(self.bias + self.alpha / self.size * energy, -self.beta)
        return inputs * ops.cast(scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "bias": self.bias,
        }
