"""Division of feature maps by their energy around each position."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="methodical")
class EnergyNormalization(keras.layers.Layer):
    """Divides each position's features by the root mean square of its neighbourhood.

    `y_c(u) = x_c(u) / √(mean over channels and window of x² + ε)`, which takes out how strong the
    light on this part of the picture is, as Dalal & Triggs (2005, section 6.4) do with histograms
    of gradients. What lies outside the image is left out of the mean.

    Example:

    ```python
    y = EnergyNormalization(3)(np.ones((1, 8, 8, 16), "float32"))  # 1 / √1.0001
    ```

    Args:
        window: odd int ≥ 1, the side of the neighbourhood. Defaults to 3.
        epsilon: float > 0, ε. Defaults to 1e-4.

    Input shape: `(B, H, W, C)`, float, channels last.

    Output shape: the same.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, window=3, epsilon=1e-4, **kwargs):
        super().__init__(**kwargs)
        if window < 1 or window % 2 == 0:
            raise ValueError(f"`window` must be odd and at least 1. Received: window={window}")
        if epsilon <= 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}")
        self.window = window
        self.epsilon = epsilon
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs):
        """Returns the quotients, in the input's dtype; squares are averaged in float32."""
        x = ops.cast(inputs, "float32")
        energy = ops.mean(ops.square(x), axis=-1, keepdims=True)
        if self.window > 1:
            energy = ops.average_pool(
                energy, self.window, 1, padding="same", data_format="channels_last"
            )
        return ops.cast(x * ops.rsqrt(energy + self.epsilon), inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the output."""
        return tuple(input_shape)

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "window": self.window, "epsilon": self.epsilon}
