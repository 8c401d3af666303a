"""L2 pooling: the norm of each feature map over a window, in place of its maximum."""

from typing import Any

import keras
from keras import ops

from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class L2Pooling2D(keras.layers.Layer):
    """Pools by the square root of the sum of squares over a window.

    `y_c = √(Σ_window x_c²)`, the sum and not the mean: FaceNet uses it in most of its Inception
    modules, "instead of taking the spatial max … the L2 norm is computed" (Schroff et al. 2015,
    arXiv 1503.03832, caption of Table 2). Outside the image there are zeros. Where a window is all
    zero, as ReLU often leaves it, the output and the gradient are zero, never NaN.

    Example:

    ```python
    y = L2Pooling2D(3)(np.ones((1, 8, 8, 16), "float32"))  # 3 inside, √6 at an edge, 2 at a corner
    ```

    Args:
        pool_size: int ≥ 1, the window's side.
        strides: int ≥ 1, the step between windows. Above 1, height and width of the input must be
            known when the layer is built.

    Input shape: `(B, H, W, C)`, float, channels last.

    Output shape: `(B, ceil(H / strides), ceil(W / strides), C)`, as Keras's pooling with
    `padding="same"`.

    Raises:
        ValueError: `pool_size` or `strides` is below 1, or height or width is unknown and `strides`
            is not 1.
    """

    def __init__(self, pool_size: int = 3, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pool_size < 1:
            raise ValueError(f"`pool_size` must be at least 1. Received: pool_size={pool_size}")
        if strides < 1:
            raise ValueError(f"`strides` must be at least 1. Received: strides={strides}")
        self.pool_size = pool_size
        self.strides = strides
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Checks that the input's sides are known if they are needed."""
        for side in input_shape[1:3]:
            self._padding(side)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the norms, in the input's dtype; squares are summed in float32."""
        around = [(0, 0), *(self._padding(side) for side in inputs.shape[1:3]), (0, 0)]
        squares = ops.pad(ops.square(ops.cast(inputs, "float32")), around)
        # Padded here, because Keras's mean pooling excludes its padding from the mean.
        means = ops.average_pool(
            squares, self.pool_size, self.strides, padding="valid", data_format="channels_last"
        )
        energy = means * self.pool_size**2
        # The root's slope at 0 is infinite. A NaN is not `<= 0`, so it stays NaN.
        empty = energy <= 0
        norms = ops.where(empty, 0.0, ops.sqrt(ops.where(empty, 1.0, energy)))
        return ops.cast(norms, inputs.dtype)

    def _padding(self, side):
        """Zeros before and after one side, as for Keras's `padding="same"`."""
        if self.strides == 1:
            total = self.pool_size - 1
        elif side is None:
            raise ValueError(
                "Height and width of the input must be known if strides are not 1. Give the "
                f"model's input a fixed size. Received: strides={self.strides}"
            )
        else:
            steps = -(-side // self.strides)
            total = max((steps - 1) * self.strides + self.pool_size - side, 0)
        return total // 2, total - total // 2

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        batch, *sides, channels = input_shape
        pooled = [None if side is None else -(-side // self.strides) for side in sides]
        return (batch, *pooled, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
        }
