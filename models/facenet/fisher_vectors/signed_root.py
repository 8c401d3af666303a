"""The normalization of Fisher vectors."""

import keras
from keras import ops

from ...types import Shape, Tensor

_LEAST = 1e-12


@keras.saving.register_keras_serializable(package="methodical")
class SignedRoot(keras.layers.Layer):
    """Takes the square root of absolute values, keeps the signs, and divides by the norm.

    `y = sign(x) √|x| / √(Σ|x|)` (Perronnin et al. 2010, section 3): a few large numbers of a vector
    no longer dominate the rest. Zeros stay zeros.

    Example:

    ```python
    SignedRoot()(np.array([[4.0, -1.0, 0.0]], "float32"))  # [[0.894, -0.447, 0]]
    ```

    Input shape: `(B, D)`, float.

    Output shape: the same; rows of norm 1, or zeros for zeros.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the normalized vectors."""
        x = ops.cast(inputs, "float32")
        size = ops.abs(x)
        # The root's slope at 0 is infinite: numbers this small have no gradient.
        root = ops.sign(x) * ops.sqrt(ops.maximum(size, _LEAST))
        norm = ops.sqrt(ops.maximum(ops.sum(size, axis=-1, keepdims=True), _LEAST))
        return ops.cast(root / norm, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return tuple(input_shape)
