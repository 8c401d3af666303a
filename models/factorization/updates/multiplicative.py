"""Multiplicative updates (Lee & Seung 2001, theorems 1 and 2)."""

from keras import ops

from ...types import Tensor


def multiplicative_update(
    W: Tensor,
    numerator: Tensor,
    denominator: Tensor,
    l1: float | Tensor = 0.0,
    l2: float | Tensor = 0.0,
    loss: str = "euclidean",
) -> Tensor:
    """Returns `W · numerator / denominator`, which never raises the loss.

    With penalties `l1 ΣW + l2/2 ΣW²` it is the minimum of the paper's auxiliary function (for the
    Euclidean l1 an upper bound of it, which never raises the objective either):
    `W · numerator / (denominator + l1 + l2 W)` for the Euclidean distance, and for the divergence
    the positive root w of `l2 w² + (denominator + l1) w = W · numerator`.

    A zero stays zero. Where the denominator is 0 the loss does not depend on W, and W does not
    change (no epsilon is added anywhere).

    Args:
        W: non-negative float tensor (n, r).
        numerator: non-negative tensor (n, r), of `gradient_parts`.
        denominator: non-negative tensor (n, r), of `gradient_parts`.
        l1: weight of the sum of W. Defaults to 0.
        l2: weight of half the sum of its squares. Defaults to 0.
        loss: `"euclidean"` or `"divergence"`; matters only with l2.

    Returns:
        Tensor (n, r).
    """
    pulled = W * numerator
    if loss == "euclidean" or (isinstance(l2, int | float) and l2 == 0):
        pulling = denominator + l1 + l2 * W
    else:
        linear = denominator + l1
        pulling = 0.5 * (linear + ops.sqrt(ops.square(linear) + 4 * l2 * pulled))
    positive = pulling > 0
    return ops.where(positive, pulled / ops.where(positive, pulling, 1), W)
