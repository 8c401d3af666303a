"""Principal components as a layer: the baseline of parts of either sign."""

import keras
import numpy as np
from keras import ops

from ...types import Shape, Tensor
from .adapted_components import AdaptedComponents


@keras.saving.register_keras_serializable(package="methodical")
class PrincipalComponents(AdaptedComponents):
    """Writes each example as a mean plus a sum of orthogonal components of either sign.

    ```
    c = (x − m) Pᵀ        x ≈ m + c P
    ```

    with `m` the mean of the examples and the rows of `P` the eigenvectors of their covariance with
    the largest eigenvalues: of all representations by `rank` linear components the one with the
    least squared error. Lee & Seung 1999, "Learning the parts of objects by non-negative matrix
    factorization", Nature 401, compares with it ("eigenfaces").

    ```python
    images = np.random.default_rng(0).random((100, 64)).astype("float32")
    layer = PrincipalComponents(16)
    layer.adapt(images)
    codes = layer(images)  # (100, 16)
    restored = layer.reconstruct(codes)
    ```

    Args:
        rank: int > 0, the number of components, at most the number of features.

    Call arguments:
        inputs: `(…, features)`.

    Output shape: `(…, rank)`, sorted by falling variance.

    Raises:
        ValueError: `rank` is not a positive integer, or above the number of features.
    """

    def build(self, input_shape: Shape) -> None:
        """Creates the weights."""
        super().build(input_shape)
        self.mean = self.add_weight(
            shape=(input_shape[-1],), name="mean", initializer="zeros", trainable=False
        )

    def _learn(self, examples):
        mean = examples.mean(axis=0)
        covariance = (examples - mean).T @ (examples - mean) / len(examples)
        _, vectors = np.linalg.eigh(covariance)
        components = vectors[:, ::-1][:, : self.rank].T
        # An eigenvector's sign is free: make its largest entry positive.
        largest = np.abs(components).argmax(axis=1)
        signs = np.sign(components[np.arange(self.rank), largest])
        self.mean.assign(mean)
        self.components.assign(components * signs[:, None])

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the codes."""
        return ops.matmul(inputs - self.mean, ops.transpose(self.components))

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Returns `m + c P` of codes `(…, rank)`, which have the shape `(…, features)`."""
        codes = ops.convert_to_tensor(codes)
        restored = ops.matmul(codes, ops.cast(self.components, codes.dtype))
        return restored + ops.cast(self.mean, codes.dtype)
