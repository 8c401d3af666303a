"""Principal components as a layer: eigenfaces, and fixed features to learn a metric on."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from ...checks import positive_integer
from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class PrincipalProjection(keras.layers.Layer):
    """Projects examples to their principal components.

    ```
    y = (x − m) Pᵀ
    ```

    with `m` the mean of the examples given to `adapt` and the rows of `P` the directions of their
    largest variance, each divided by its standard deviation if `whiten`. Distances between such
    vectors of face images are those of eigenfaces (Turk & Pentland 1991); here they are the
    baseline without a learned metric, and the fixed features of `LargeMarginMetric`.

    ```python
    images = np.random.default_rng(0).random((40, 8, 8, 1)).astype("float32")
    layer = PrincipalProjection(10)
    layer.adapt(images)
    layer(images).shape  # (40, 10)
    ```

    Args:
        components: int > 0, at most the number of examples and of features.
        whiten: bool, whether to scale every component to variance 1. Defaults to False.

    Call arguments:
        inputs: float `(B, …)`, flattened after the first axis.

    Output shape: `(B, components)`, sorted by falling variance.

    Raises:
        ValueError: `components` is not a positive integer, or above the number of features, or a
            dimension after the first axis is unknown.
    """

    def __init__(self, components: int, whiten: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = positive_integer("components", components)
        self.whiten = bool(whiten)
        self.mean: Any = None
        self.basis: Any = None

    def build(self, input_shape: Shape) -> None:
        """Creates `mean` (features,) and `basis` (components, features)."""
        sizes = [size for size in input_shape[1:] if size is not None]
        features = math.prod(sizes)
        if len(sizes) < len(input_shape) - 1 or features < self.components:
            raise ValueError(
                f"Expected inputs of known size, at least {self.components} numbers each. "
                f"Received: shape {tuple(input_shape)}"
            )
        self.mean = self.add_weight(
            shape=(features,), name="mean", initializer="zeros", trainable=False
        )
        self.basis = self.add_weight(
            shape=(self.components, features),
            name="basis",
            initializer=keras.initializers.Identity(),
            trainable=False,
        )

    def adapt(self, examples: ArrayLike) -> None:
        """Computes mean and basis from examples `(N, …)`, for example floats in [0, 1].

        The examples are held in memory, twice in float32. The result is deterministic.

        Raises:
            ValueError: for fewer examples than components, and for values that are not finite.
        """
        from sklearn.decomposition import PCA

        examples = np.asarray(examples, dtype="float32")
        flat = examples.reshape(len(examples), -1)
        if len(flat) < self.components or not np.isfinite(flat).all():
            raise ValueError(
                f"Expected at least {self.components} finite examples. "
                f"Received: {len(flat)}, {np.sum(~np.isfinite(flat))} numbers not finite"
            )
        if not self.built:
            self.build(examples.shape)
        pca = PCA(self.components, random_state=0).fit(flat)
        basis = pca.components_
        if self.whiten:
            deviations = np.sqrt(pca.explained_variance_)
            # A direction without variance holds only rounding errors, which must not grow.
            least = 1e-6 * deviations[0] if deviations[0] > 0 else 1.0
            basis = basis / np.maximum(deviations, least)[:, None]
        self.mean.assign(pca.mean_)
        self.basis.assign(basis)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the projections."""
        flat = ops.reshape(inputs, (-1, self.mean.shape[0]))
        return ops.matmul(flat - self.mean, ops.transpose(self.basis))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the projections."""
        return (input_shape[0], self.components)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "components": self.components, "whiten": self.whiten}
