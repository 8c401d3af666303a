"""The loss of large margin nearest neighbor classification, on batches."""

from typing import Any

import keras
from keras import ops

from ...checks import positive_integer
from ...types import Tensor
from ..triplets.batch_checks import check_one_label_each, check_vectors, flat_labels, integer_labels
from ..triplets.distances import squared_distances


@keras.saving.register_keras_serializable(package="methodical")
class LargeMarginLoss(keras.losses.Loss):
    """Pulls each example's target neighbors near, and pushes impostors out of a unit margin.

    Weinberger & Saul 2009, "Distance Metric Learning for Large Margin Nearest Neighbor
    Classification", equations 11 to 13, for each example `i` of a batch:

    ```
    loss_i = (1 − μ) Σ_j d_ij  +  μ Σ_j Σ_l max(0, 1 + d_ij − d_il)
    ```

    with `d` the squared distance of two outputs, `j` over the target neighbors, the `neighbors`
    nearest examples of the same label in the batch, and `l` over all examples of other labels. The
    targets are chosen by the distances of the outputs; `LargeMarginMetric.fit` fixes them, as the
    paper does. An example without a target neighbor, or without impostors, adds 0.

    Example:

    ```python
    labels = np.tile(np.arange(8), 32)  # several examples of each label in a batch
    features = np.random.default_rng(0).normal(labels[:, None], 1.0, (256, 16))
    model = keras.Sequential([keras.Input((16,)), LargeMarginMetric()])
    model.compile("adam", loss=LargeMarginLoss(neighbors=3))
    model.fit(features, labels, batch_size=64, epochs=2)
    ```

    Args:
        neighbors: int > 0, the number of target neighbors of an example. Defaults to 3.
        push: float in [0, 1], μ. Defaults to 0.5.
        reduction: as for every Keras loss. Defaults to the mean over the batch.

    Call arguments:
        y_true: int labels (B,) or (B, 1).
        y_pred: float outputs (B, D).

    Raises:
        ValueError: `neighbors` is not a positive integer or `push` is outside [0, 1]; when called,
            for labels that are not integers of that shape, for outputs of another number of
            dimensions, and unless there is one label per output.
    """

    def __init__(
        self,
        neighbors: int = 3,
        push: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "large_margin_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= push <= 1:
            raise ValueError(f"Expected a weight in [0, 1]. Received: push={push}")
        self.neighbors = positive_integer("neighbors", neighbors)
        self.push = float(push)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Returns the reduced loss."""
        return super().__call__(integer_labels(y_true), y_pred, sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each example, float32 (B,)."""
        labels = flat_labels(y_true)
        check_vectors(y_pred)
        check_one_label_each(labels, y_pred)
        distances = squared_distances(ops.cast(y_pred, "float32"))
        alike = labels[:, None] == labels[None, :]
        count = ops.shape(distances)[0]
        itself = ops.arange(count)[:, None] == ops.arange(count)[None, :]
        positives = ops.where(
            ops.logical_and(alike, ops.logical_not(itself)), distances, float("inf")
        )
        # A batch may have fewer examples than `neighbors`.
        padded = ops.pad(positives, ((0, 0), (0, self.neighbors)), constant_values=float("inf"))
        nearest = -ops.top_k(-padded, self.neighbors)[0]
        present = nearest < float("inf")
        targets = ops.where(present, nearest, 0.0)
        hinges = ops.relu(1.0 + targets[:, :, None] - distances[:, None, :])
        counted = ops.logical_and(present[:, :, None], ops.logical_not(alike)[:, None, :])
        pushed = ops.sum(ops.where(counted, hinges, 0.0), axis=(1, 2))
        return (1 - self.push) * ops.sum(targets, axis=1) + self.push * pushed

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "neighbors": self.neighbors, "push": self.push}
