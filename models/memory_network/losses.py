"""The margin ranking losses of Memory Networks (arXiv 1410.3916, section 3.1 and 3.4)."""

from typing import Any

import keras
from keras import ops

from ..types import Tensor


def _targets(y_true, candidates):
    """Returns the masks of the target `(..., M)` and of positions with a target `(...)`."""
    y_true = ops.cast(y_true, "int32")
    positive = ops.expand_dims(y_true, -1) == ops.arange(candidates, dtype="int32")
    return positive, y_true >= 0


@keras.saving.register_keras_serializable(package="methodical")
class MarginRankingLoss(keras.losses.Loss):
    """Hinge loss over all wrong candidates: the third sum of equation 6 of Memory Networks.

    `loss = Σ_{ȳ ≠ y} max(0, margin − s(x, y) + s(x, ȳ))`

    The paper samples one wrong candidate a step; this is the whole sum.

    Example:

    ```python
    loss = MarginRankingLoss(margin=0.1)
    loss(np.array([1]), np.array([[0.5, 0.55, -1.0]]))  # max(0, 0.1 - 0.55 + 0.5) = 0.05
    ```

    Args:
        margin: float, γ > 0.

    Call arguments:
        y_true: integer tensor `(...)`, the index of the right candidate; -1 where there is none
            (loss 0).
        y_pred: float tensor `(..., M)`, the scores of the candidates. Excluded candidates have a
            score of minus infinity.
    """

    def __init__(
        self, margin: float = 0.1, name: str = "margin_ranking_loss", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not margin > 0:
            raise ValueError(f"`margin` must be positive. Received: margin={margin}")
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each position `(...)`."""
        positive, present = _targets(y_true, ops.shape(y_pred)[-1])
        right = ops.sum(ops.where(positive, y_pred, 0.0), axis=-1, keepdims=True)
        hinge = ops.relu(self.margin - right + y_pred)
        hinge = ops.where(positive, ops.zeros_like(hinge), hinge)
        return ops.where(present, ops.sum(hinge, axis=-1), 0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="methodical")
class PairwiseMarginRankingLoss(keras.losses.Loss):
    """Hinge loss over all wrong candidates, in both orders of the pair: equation 8 of the paper.

    `loss = Σ_{ȳ ≠ y} max(0, margin − s(x, y, ȳ)) + max(0, margin + s(x, ȳ, y))`

    Example:

    ```python
    loss = PairwiseMarginRankingLoss(margin=0.1)
    pairs = np.array([[[0.0, 0.0], [0.04, -0.3]]])  # s(x, y, ȳ) = 0.04, s(x, ȳ, y) = -0.3
    loss(np.array([0]), pairs)  # (0.1 - 0.04) + 0 = 0.06
    ```

    Args:
        margin: float, γ > 0.

    Call arguments:
        y_true: integer tensor `(...)`, the index of the right candidate y; -1 where there is none
            (loss 0).
        y_pred: float tensor `(..., M, 2)`: for each candidate ȳ `s(x, y, ȳ)` and `s(x, ȳ, y)`,
            which are plus and minus infinity for excluded candidates.
    """

    def __init__(
        self, margin: float = 0.1, name: str = "pairwise_margin_ranking_loss", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not margin > 0:
            raise ValueError(f"`margin` must be positive. Received: margin={margin}")
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each position `(...)`."""
        positive, present = _targets(y_true, ops.shape(y_pred)[-2])
        hinge = ops.relu(self.margin - y_pred[..., 0]) + ops.relu(self.margin + y_pred[..., 1])
        hinge = ops.where(positive, ops.zeros_like(hinge), hinge)
        return ops.where(present, ops.sum(hinge, axis=-1), 0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "margin": self.margin}
