"""Hierarchical alternating least squares (Cichocki & Phan 2009, algorithm 2).

The Euclidean distance, one component after the other, each at its exact minimum.
"""

from keras import ops


def hierarchical_update(W, numerator, gram, l1=0.0, l2=0.0):
    """Returns W after one sweep over its columns, each at its minimum with the others fixed.

    `w_k ← max(0, w_k + (numerator_k − l1 − l2 w_k − W gram_k) / (gram_kk + l2))`. Where the
    denominator is 0 the loss does not depend on the column: it stays, or is 0 if l1 > 0.

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


def sweep(W, numerator, curvature, l1, l2):
    """Returns W after one sweep.

    Args:
        W: tensor (n, r).
        numerator: tensor (n, r).
        curvature: function of the columns so far (r, n) and an index k that returns the k-th column
            of the gradient's second part (n,) and its derivative by that column, (n,) or scalar.
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


def gram_curvature(gram):
    """Returns what `sweep` asks for where every row of W has the same matrix (r, r)."""

    def curvature(columns, k):
        row = ops.take(gram, k, axis=0)
        return (row[None] @ columns)[0], ops.take(row, k)

    return curvature
