"""Hierarchical alternating least squares (Cichocki & Phan 2009, algorithm 2).

For the Euclidean distance: one component after another is set to its exact minimum.
"""

from collections.abc import Callable

from keras import ops

from ...types import Tensor


def hierarchical_update(
    W: Tensor, numerator: Tensor, gram: Tensor, l1: float | Tensor = 0.0, l2: float | Tensor = 0.0
) -> Tensor:
    """Returns W after one sweep over its columns, each minimised with the rest fixed.

    `w_k ← max(0, w_k + (numerator_k − l1 − l2 w_k − W gram_k) / (gram_kk + l2))`. Where the
    denominator is 0 the loss does not depend on the column: it does not change, or is 0 if l1 > 0.

    Args:
        W: non-negative float tensor (n, r).
        numerator: tensor (n, r), `V Hᵀ`.
        gram: tensor (r, r), `H Hᵀ`.
        l1: weight of the sum of W. Defaults to 0.
        l2: weight of half the sum of its squares. Defaults to 0.

    Returns:
        Tensor (n, r).
    """

    return sweep(W, numerator, gram_curvature(gram), l1, l2)


def sweep(
    W: Tensor,
    numerator: Tensor,
    curvature: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    l1: float | Tensor,
    l2: float | Tensor,
) -> Tensor:
    """Returns W after one sweep.

    Args:
        W: tensor (n, r).
        numerator: tensor (n, r).
        curvature: function of the current columns (r, n) and an index k that returns the k-th
            column (n,) of the gradient's second part and its derivative by that column, (n,) or
            scalar.
        l1: weight of the sum of W.
        l2: weight of half the sum of its squares.
    """
    targets = ops.transpose(numerator)

    def body(k, columns):
        column = ops.take(columns, k, axis=0)
        pulled, slope = curvature(columns, k)
        slope = slope + l2
        step = ops.take(targets, k, axis=0) - l1 - l2 * column - pulled
        moved = column + step / ops.where(slope > 0, slope, 1)
        moved = ops.where(moved < 0, 0, moved)
        flat = ops.where(l1 > 0, ops.zeros_like(column), column)
        column = ops.where(slope > 0, moved, flat)
        return ops.slice_update(columns, (k, 0), column[None])

    return ops.transpose(ops.fori_loop(0, ops.shape(W)[1], body, ops.transpose(W)))


def gram_curvature(gram: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Returns the `curvature` of `sweep` if every row of W has the same matrix (r, r)."""

    def curvature(columns, k):
        row = ops.take(gram, k, axis=0)
        return (row[None] @ columns)[0], ops.take(row, k)

    return curvature
