"""The two losses of Lee & Seung (2001, section 2) and the two parts of their gradients.

Dimensions: n rows and m columns of V, r the rank, V (n, m), W (n, r), H (r, m).
"""

from keras import ops

from ...types import Tensor

LOSSES = ("euclidean", "divergence")


def euclidean_loss(V: Tensor, WH: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns half the squared distance, `½ Σ weights · (V − WH)²`.

    Equation 2 of the paper has no ½; with it the gradient is the difference of the two parts that
    `gradient_parts` returns.

    Args:
        V: non-negative float tensor (n, m).
        WH: float tensor (n, m), the product of the factors.
        weights: non-negative tensor (n, m), 0 where V is not observed. Defaults to ones.

    Returns:
        Scalar tensor.
    """
    squares = ops.square(V - WH)
    return 0.5 * ops.sum(squares if weights is None else weights * squares)


def divergence_loss(V: Tensor, WH: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns the generalised Kullback-Leibler divergence, `Σ weights · (V log(V/WH) − V + WH)`.

    Equation 3 of the paper. The term of an entry with V = 0 is WH, and infinity for V > 0, WH = 0.
    Arguments and result are those of `euclidean_loss`.
    """
    ratio = ops.where(V > 0, V / ops.where(V > 0, WH, 1), 1)
    terms = V * ops.log(ratio) - V + WH
    return ops.sum(terms if weights is None else weights * terms)


def gradient_parts(
    V: Tensor, W: Tensor, H: Tensor, loss: str = "euclidean", weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the two non-negative parts of the gradient of a loss with respect to W.

    The gradient is `denominator − numerator`; the multiplicative rule is
    `W ← W · numerator / denominator`. Euclidean: `V Hᵀ` and `W H Hᵀ`; divergence: `(V / WH) Hᵀ` and
    `1 Hᵀ`. For H use the transposed problem, `gradient_parts(Vᵀ, Hᵀ, Wᵀ)`, and transpose.

    Args:
        V: non-negative float tensor (n, m), finite also where its weight is 0.
        W: non-negative float tensor (n, r).
        H: non-negative float tensor (r, m).
        loss: `"euclidean"` or `"divergence"`.
        weights: non-negative tensor (n, m), 0 where V is not observed. Defaults to ones.

    Returns:
        Pair of tensors (n, r), numerator and denominator.
    """
    check_loss(loss)
    V, W, H = (ops.convert_to_tensor(tensor) for tensor in (V, W, H))
    G = ops.transpose(H)
    if weights is not None:
        weights = ops.cast(weights, W.dtype)
        V = weights * V
    if loss == "euclidean":
        numerator = V @ G
        if weights is None:
            return numerator, W @ (H @ G)
        return numerator, (weights * (W @ H)) @ G
    numerator = safe_ratio(V, W @ H) @ G
    if weights is None:
        return numerator, ops.broadcast_to(ops.sum(G, axis=0), ops.shape(W))
    return numerator, weights @ G


def safe_ratio(V: Tensor, WH: Tensor) -> Tensor:
    """Returns `V / WH`, and 0 where WH is 0, which no update can change."""
    positive = WH > 0
    return ops.where(positive, V / ops.where(positive, WH, 1), 0)


def check_loss(loss: str) -> None:
    """Raises an error unless the loss is known."""
    if loss not in LOSSES:
        raise ValueError(f"`loss` should be one of {', '.join(LOSSES)}. Received: {loss!r}")
