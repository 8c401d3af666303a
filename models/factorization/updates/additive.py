"""The additive counterpart of the multiplicative updates (Lee & Seung 2001, section 4)."""

from keras import ops


def additive_update(W, numerator, denominator, learning_rate, l1=0.0, l2=0.0):
    """Returns `max(0, W − learning_rate · (denominator − numerator + l1 + l2 W))`.

    Gradient descent, projected on the non-negative. With the learning rate of
    `rescaling_learning_rate` it is the multiplicative rule; with a small constant it descends too,
    more slowly; with a large one it does not, and the guard of `factorize` stops it.

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


def rescaling_learning_rate(W, denominator, l1=0.0, l2=0.0):
    """Returns `W / denominator`, the step that makes the additive rule the multiplicative one.

    Equations 6 and 7 of the paper: for H and the Euclidean distance it is `H / (WᵀWH)`. Where the
    denominator is 0 so is the step.
    """
    pulling = denominator + l1 + l2 * W
    positive = pulling > 0
    return ops.where(positive, W / ops.where(positive, pulling, 1), 0)
