"""Division of feature maps by their energy around each position."""

from typing import Any

import keras
from keras import ops

from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class EnergyNormalization(keras.layers.Layer):
    """Divides each position's features by the root mean square of its neighborhood.

    `y_c(u) = x_c(u) / √(mean over channels and window of x² + ε)`, which removes the local
    strength of the light, as Dalal & Triggs (2005, section 6.4) do with histograms of gradients.
    Positions outside of the image are excluded from the mean.

    Example:

    ```python
    y = EnergyNormalization(3)(np.ones((1, 8, 8, 16), "float32"))  # 1 / √1.0001
    ```

    Args:
        window: odd int ≥ 1, the side of the neighborhood. Defaults to 3.
        epsilon: float > 0, ε. Defaults to 1e-4.

    Input shape: `(B, H, W, C)`, float, channels last.

    Output shape: the same.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, window: int = 3, epsilon: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if window < 1 or window % 2 == 0:
            raise ValueError(f"`window` must be odd and at least 1. Received: window={window}")
        if epsilon <= 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}")
        self.window = window
        self.epsilon = epsilon
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the quotients, in the input's dtype; squares are averaged in float32."""
        x = ops.cast(inputs, "float32")
        energy = ops.mean(ops.square(x), axis=-1, keepdims=True)
        if self.window > 1:
            energy = ops.average_pool(
                energy, self.window, 1, padding="same", data_format="channels_last"
            )
        return ops.cast(x * ops.rsqrt(energy + self.epsilon), inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "window": self.window, "epsilon": self.epsilon}
