"""Principal components as a layer: eigenfaces, and fixed features to learn a metric on."""

import math
import numbers

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="methodical")
class PrincipalProjection(keras.layers.Layer):
    """Projects examples on their principal components.

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
        whiten: bool, whether every component shall have variance 1. Defaults to False.

    Call arguments:
        inputs: float `(B, …)`, flattened behind the first axis.

    Output shape: `(B, components)`, sorted by falling variance.

    Raises:
        ValueError: `components` is no positive integer or above the number of features, or a size
            behind the first axis is unknown.
    """

    def __init__(self, components, whiten=False, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(components, numbers.Integral) or components < 1:
            raise ValueError(f"Expected a positive integer. Received: components={components!r}")
        self.components = int(components)
        self.whiten = bool(whiten)
        self.mean = None
        self.basis = None

    def build(self, input_shape):
        """Creates `mean` (features,) and `basis` (components, features)."""
        if None in input_shape[1:] or math.prod(input_shape[1:]) < self.components:
            raise ValueError(
                f"Expected inputs of known size, at least {self.components} numbers each. "
                f"Received: shape {tuple(input_shape)}"
            )
        features = math.prod(input_shape[1:])
        self.mean = self.add_weight(
            shape=(features,), name="mean", initializer="zeros", trainable=False
        )
        self.basis = self.add_weight(
            shape=(self.components, features),
            name="basis",
            initializer=keras.initializers.Identity(),
            trainable=False,
        )

    def adapt(self, examples):
        """Sets mean and basis by examples `(N, …)`, such as floats in [0, 1]; the same each time.

        The examples are held in memory, twice in float32.

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
            self.built = True
        found = PCA(self.components, random_state=0).fit(flat)
        basis = found.components_
        if self.whiten:
            deviations = np.sqrt(found.explained_variance_)
            # A direction without variance holds rounding errors only, which must not grow.
            least = 1e-6 * deviations[0] if deviations[0] > 0 else 1.0
            basis = basis / np.maximum(deviations, least)[:, None]
        self.mean.assign(found.mean_)
        self.basis.assign(basis)

    def call(self, inputs):
        """Returns the projections."""
        flat = ops.reshape(inputs, (-1, self.mean.shape[0]))
        return ops.matmul(flat - self.mean, ops.transpose(self.basis))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the projections."""
        return (input_shape[0], self.components)

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "components": self.components, "whiten": self.whiten}
