"""The additive counterpart of the multiplicative updates (Lee & Seung 2001, section 4)."""

from keras import ops

from ...types import Tensor


def additive_update(
    W: Tensor,
    numerator: Tensor,
    denominator: Tensor,
    learning_rate: float | Tensor,
    l1: float | Tensor = 0.0,
    l2: float | Tensor = 0.0,
) -> Tensor:
    """Returns `max(0, W − learning_rate · (denominator − numerator + l1 + l2 W))`.

    Gradient descent, projected to non-negative factors. With the learning rate of
    `rescaling_learning_rate` it is the multiplicative rule; with a small constant it descends too,
    but slowly; with a large one it does not, and the guard of `factorize` stops it.

    Args:
        W: non-negative float tensor (n, r).
        numerator: tensor (n, r), of `gradient_parts`.
        denominator: tensor (n, r), of `gradient_parts`.
        learning_rate: positive scalar or tensor (n, r).
        l1: weight of the sum of W. Defaults to 0.
        l2: weight of half the sum of its squares. Defaults to 0.

    Returns:
        Tensor (n, r).
    """
    gradient = denominator - numerator + l1 + l2 * W
    moved = W - learning_rate * gradient
    return ops.where(moved < 0, 0, moved)


def rescaling_learning_rate(
    W: Tensor, denominator: Tensor, l1: float | Tensor = 0.0, l2: float | Tensor = 0.0
) -> Tensor:
    """Returns `W / denominator`, the step that makes the additive rule the multiplicative one.

    Equations 6 and 7 of the paper: for H and the Euclidean distance it is `H / (WᵀWH)`. Where the
    denominator is 0, the step is 0.
    """
    pulling = denominator + l1 + l2 * W
    positive = pulling > 0
    return ops.where(positive, W / ops.where(positive, pulling, 1), 0)
