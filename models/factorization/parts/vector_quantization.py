"""Vector quantisation as a layer: the baseline of whole prototypes."""

from typing import Any

import keras
from keras import ops

from ...types import Tensor
from .adapted_components import AdaptedComponents


@keras.saving.register_keras_serializable(package="methodical")
class VectorQuantization(AdaptedComponents):
    """Writes each example as the nearest of `rank` prototypes: a one-hot code.

    ```
    c_k = 1 for the k with the least ‖x − p_k‖², else 0        x ≈ c P
    ```

    The prototypes are the centroids of k-means. Lee & Seung 1999, "Learning the parts of objects by
    non-negative matrix factorization", Nature 401, compares with it: every prototype is a whole.

    ```python
    images = np.random.default_rng(0).random((100, 64)).astype("float32")
    layer = VectorQuantization(16)
    layer.adapt(images)
    codes = layer(images)  # (100, 16), a single 1 per row
    restored = layer.reconstruct(codes)
    ```

    Args:
        rank: int > 0, the number of prototypes.
        seed: int, of k-means.

    Call arguments:
        inputs: `(…, features)`.

    Output shape: `(…, rank)`.

    Raises:
        ValueError: `rank` is not a positive integer, or above the number of examples.
    """

    def __init__(self, rank: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(rank, **kwargs)
        self.seed = seed

    def _learn(self, examples):
        from sklearn.cluster import KMeans

        if len(examples) < self.rank:
            raise ValueError(
                "`rank` must be at most the number of examples. "
                f"Received: rank={self.rank}, {len(examples)} examples"
            )
        kmeans = KMeans(self.rank, n_init=1, random_state=self.seed).fit(examples)
        self.components.assign(kmeans.cluster_centers_)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the codes."""
        products = ops.matmul(inputs, ops.transpose(self.components))
        # ‖x‖² is the same for all prototypes.
        nearest = ops.argmin(ops.sum(ops.square(self.components), axis=1) - 2 * products, axis=-1)
        codes = ops.one_hot(nearest, self.rank, dtype=self.compute_dtype)
        # Inputs of NaN have codes of NaN.
        return codes + ops.sum(0 * inputs, axis=-1, keepdims=True)

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Returns `c P` of codes `(…, rank)`, which have the shape `(…, features)`."""
        codes = ops.convert_to_tensor(codes)
        return ops.matmul(codes, ops.cast(self.components, codes.dtype))

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "seed": self.seed}
