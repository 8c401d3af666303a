"""Large margin nearest neighbor classification: a Mahalanobis metric learned on fixed features."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from ...checks import positive_integer
from ...types import Identifier, Shape, Tensor
from .large_margin_objective import large_margin_objective, target_neighbors
from .positive_semidefinite import factor


@keras.saving.register_keras_serializable(package="methodical")
class LargeMarginMetric(keras.layers.Layer):
    """Maps fixed features so that squared distances are those of a learned pseudo-metric.

    ```
    y = x Lᵀ        |y − y'|² = (x − x')ᵀ M (x − x')        M = LᵀL
    ```

    `M` is positive semi-definite by construction. Weinberger, Blitzer & Saul 2005, "Distance Metric
    Learning for Large Margin Nearest Neighbor Classification" (LMNN): the method on which FaceNet's
    triplet loss is based (section 2), here its baseline. It is learned either on batches, by
    `Model.fit` with `LargeMarginLoss`, or, as in the original, on a fixed set of examples by `fit`.

    Example:

    ```python
    labels = np.tile(np.arange(4), 16)
    features = np.random.default_rng(0).normal(labels[:, None], 1.0, (64, 3))
    metric = LargeMarginMetric()
    metric.fit(features, labels)
    metric(features)  # (64, 3): nearest neighbors there
    ```

    Args:
        size: int > 0, the dimension of the output, at most the number of features; `None` for all.
        initializer: Keras initializer of `L` (size, features). Defaults to "identity", the
            Euclidean metric (of the first `size` features).

    Call arguments:
        inputs: float `(…, features)`.

    Output shape: `(…, size)`.

    Raises:
        ValueError: `size` is not a positive integer, or above the number of features.
    """

    def __init__(
        self, size: int | None = None, initializer: Identifier = "identity", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = None if size is None else positive_integer("size", size)
        self.initializer = keras.initializers.get(initializer)
        self.transformation: Any = None

    def build(self, input_shape: Shape) -> None:
        """Creates `L`."""
        features = input_shape[-1]
        if features is None or (self.size or 1) > features:
            raise ValueError(
                f"Expected a known number of features, at least {self.size or 1}. "
                f"Received: shape {tuple(input_shape)}"
            )
        self.transformation = self.add_weight(
            shape=(self.size or features, features),
            name="transformation",
            initializer=self.initializer,
        )

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        neighbors: int = 3,
        push: float = 0.5,
        iterations: int = 100,
        tolerance: float = 1e-5,
    ) -> list[float]:
        """Learns the metric on fixed examples, in float64.

        Minimises the sum of `LargeMarginLoss` over all examples, with the target neighbors chosen
        once, by Euclidean distances of `x`. As in the original, steps against the gradient of `M`
        alternate with the projection to the positive semi-definite matrices of rank at most
        `size`; a step that does not lower the objective is halved. With `size=None` the problem is
        convex, but the steps may end about a percent above the optimum, where hinges meet. Starts
        from the current weights. A step takes O(N² features) time.

        Args:
            x: float array (N, features).
            y: array (N,) of labels.
            neighbors: int > 0, target neighbors. Defaults to 3.
            push: float in [0, 1], μ. Defaults to 0.5.
            iterations: int >= 0, evaluations of the objective after the first. Defaults to 100.
            tolerance: float, stops if a step lowers the objective by less than this share of it.
                Defaults to 1e-5.

        Returns:
            list of floats, the falling objective: at the start and after each accepted step.

        Raises:
            ValueError: for arrays that do not match or are not finite, and if no two examples have
                the same label.
        """
        x, y = np.asarray(x, dtype="float64"), np.asarray(y)
        targets = target_neighbors(x, y, neighbors)
        if not self.built:
            self.build(x.shape)
        root = ops.convert_to_numpy(self.transformation).astype("float64")
        value, gradient = large_margin_objective(root, x, y, targets, push)
        history = [value]
        matrix = root.T @ root
        step = 0.1 * np.linalg.norm(matrix) / max(np.linalg.norm(gradient), 1e-300)
        for _ in range(iterations):
            root = factor(matrix - step * gradient, rank=self.size)
            new_value, new_gradient = large_margin_objective(root, x, y, targets, push)
            if not new_value < value:
                step /= 2
                continue
            finished = value - new_value < tolerance * value
            matrix, value, gradient = root.T @ root, new_value, new_gradient
            history.append(value)
            step *= 1.5
            if finished:
                break
        self.transformation.assign(factor(matrix, rank=self.size))
        return history

    def matrix(self) -> np.ndarray:
        """Returns `M`, a float array (features, features)."""
        root = ops.convert_to_numpy(self.transformation)
        return root.T @ root

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the mapped features."""
        return ops.matmul(inputs, ops.transpose(self.transformation))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the mapped features."""
        return (*input_shape[:-1], self.size or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "size": self.size,
            "initializer": keras.initializers.serialize(self.initializer),
        }
