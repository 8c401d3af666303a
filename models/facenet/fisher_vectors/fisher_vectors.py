"""Fisher vectors: many descriptors of an image as one vector, by a mixture of Gaussians."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from ...types import Shape, Tensor

_PLACES = 2
_LEAST_VARIANCE = 1e-3
_ITERATIONS = 15
_MOST_SAMPLES = 60_000


@keras.saving.register_keras_serializable(package="methodical")
class FisherVectors(keras.layers.Layer):
    """Describes how the descriptors of an image differ from those of all images.

    The first numbers of a descriptor are projected to principal components, all divided by one
    number; the last two, its place, are divided by their standard deviations. Let `γ_nk` be the
    probability of component k of a mixture of Gaussians with weight `w_k`, mean `μ_k` and
    deviations `σ_k` for the descriptor `x_n`, n = 1 … N. The output holds, for each k, the mean and
    the squared deviation of the descriptors near it (Perronnin et al. 2010; Simonyan et al. 2013,
    equations 1 and 2):

    ```
    Φ¹_k = 1 / (N √w_k)    Σ_n γ_nk (x_n − μ_k) / σ_k
    Φ²_k = 1 / (N √(2w_k)) Σ_n γ_nk ((x_n − μ_k)² / σ_k² − 1)
    ```

    Fisher vectors of an image and of its mirror image are averaged before `SignedRoot`.

    Example:

    ```python
    descriptors = np.random.default_rng(0).random((20, 50, 130)).astype("float32")
    layer = FisherVectors(components=4, size=8)
    layer.adapt(descriptors)
    layer(descriptors).shape  # (20, 80)
    ```

    Args:
        components: int ≥ 1, the number K of Gaussians. Defaults to 128.
        size: int ≥ 1, the number of principal components of a descriptor. Defaults to 64.

    Input shape: `(B, N, F + 2)`, float: N descriptors of F ≥ `size` numbers and a place.

    Output shape: `(B, 2 · components · (size + 2))`, float.

    Raises:
        ValueError: an argument is out of its range, or descriptors have fewer numbers than `size`.
    """

    def __init__(self, components: int = 128, size: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if components < 1 or size < 1:
            raise ValueError(
                "`components` and `size` must be at least 1. "
                f"Received: components={components}, size={size}"
            )
        self.components = int(components)
        self.size = int(size)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape: Shape) -> None:
        """Creates the weights that `adapt` sets."""
        features = input_shape[-1]
        if features is None or features < self.size + _PLACES:
            raise ValueError(
                f"Descriptors must have at least size={self.size} numbers and a place of "
                f"{_PLACES}. Received: shape {tuple(input_shape)}"
            )
        shape = (self.components, self.size + _PLACES)

        def constant(name, shape, initializer):
            # Squares of small numbers are compared: half precision would not do.
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                trainable=False,
                dtype="float32",
                autocast=False,
            )

        self.center = constant("center", (features,), "zeros")
        self.directions = constant(
            "directions", (features, self.size + _PLACES), keras.initializers.Identity()
        )
        self.mixture_weights = constant(
            "mixture_weights", (self.components,), keras.initializers.Constant(1 / self.components)
        )
        self.means = constant("means", shape, keras.initializers.RandomNormal(seed=0))
        self.variances = constant("variances", shape, "ones")

    def adapt(self, descriptors: ArrayLike, seed: int = 0) -> None:
        """Fits principal components and the mixture, by scikit-learn.

        Args:
            descriptors: float `(M, N, F + 2)`, those of M images; of more than 60,000 a random
                sample is used.
            seed: int, of the sample and of the initialization of the mixture.

        Raises:
            ValueError: there are fewer descriptors than components, or numbers are not finite.
        """
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        flat = np.asarray(descriptors, "float32")
        flat = flat.reshape(-1, flat.shape[-1])
        least = max(self.components, self.size)
        if len(flat) < least or not np.isfinite(flat).all():
            raise ValueError(
                f"Expected at least {least} finite descriptors. Received: {len(flat)}, "
                f"{np.sum(~np.isfinite(flat))} numbers not finite"
            )
        if not self.built:
            self.build((None, None, flat.shape[-1]))
        if len(flat) > _MOST_SAMPLES:
            chosen = np.random.default_rng(seed).choice(len(flat), _MOST_SAMPLES, replace=False)
            flat = flat[chosen]
        appearance, places = flat[:, :-_PLACES], flat[:, -_PLACES:]
        pca = PCA(self.size, svd_solver="covariance_eigh").fit(appearance)
        directions = np.zeros((flat.shape[1], self.size + _PLACES), "float32")
        directions[:-_PLACES, : self.size] = pca.components_.T / max(
            np.sqrt(pca.explained_variance_.mean()), 1e-6
        )
        deviations = np.maximum(places.std(axis=0), 1e-6)
        directions[-_PLACES:, self.size :] = np.diag(1 / deviations)
        center = np.concatenate([pca.mean_, places.mean(axis=0)])
        mixture = GaussianMixture(
            self.components,
            covariance_type="diag",
            reg_covar=_LEAST_VARIANCE,
            max_iter=_ITERATIONS,
            init_params="k-means++",
            random_state=seed,
        )
        with warnings.catch_warnings():
            # Any mixture that covers the descriptors is good enough; the best one takes hours.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit((flat - center) @ directions)
        self.center.assign(center)
        self.directions.assign(directions)
        self.mixture_weights.assign(mixture.weights_)
        self.means.assign(mixture.means_)
        self.variances.assign(mixture.covariances_)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the Fisher vectors."""
        count = ops.shape(inputs)[1]
        x = ops.matmul(ops.cast(inputs, "float32") - self.center, self.directions)
        # Numbers and their squares side by side: one large product is faster than two.
        both = ops.concatenate([x, ops.square(x)], axis=-1)
        precisions = 1 / self.variances
        scaled = self.means * precisions
        constant = ops.log(self.mixture_weights) - 0.5 * ops.sum(
            ops.log(self.variances) + self.means * scaled, axis=1
        )
        factors = ops.concatenate([scaled, -0.5 * precisions], axis=1)
        near = ops.softmax(ops.matmul(both, ops.transpose(factors)) + constant, axis=-1)
        total = ops.sum(near, axis=1)[:, :, None]
        gathered = ops.matmul(ops.transpose(near, (0, 2, 1)), both)
        first, second = ops.split(gathered, 2, axis=-1)
        roots = ops.sqrt(self.mixture_weights)[:, None] * ops.cast(count, "float32")
        mean = (first - self.means * total) * ops.sqrt(precisions) / roots
        spread = (
            (second - 2 * self.means * first + ops.square(self.means) * total) * precisions - total
        ) / (roots * np.sqrt(2).astype("float32"))
        differences = ops.concatenate([mean, spread], axis=-1)
        flat = ops.reshape(differences, (-1, 2 * self.components * (self.size + _PLACES)))
        return ops.cast(flat, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        return (input_shape[0], 2 * self.components * (self.size + _PLACES))

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "components": self.components, "size": self.size}
