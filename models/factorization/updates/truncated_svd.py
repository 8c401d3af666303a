"""The unconstrained baseline: the best factorization of a rank, by singular values."""

import numpy as np

from ...types import Matrix
from .reading import Reading, read


def truncated_svd(
    V: Matrix,
    rank: int,
    *,
    weights: Matrix | None = None,
    observed: str = "all",
    dtype: str | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the largest singular values and vectors of V.

    `U diag(s) Vt` is the matrix of this rank nearest to V (Eckart & Young 1936): no non-negative
    factorization can be nearer. Small matrices are decomposed exactly, large ones by a randomised
    block Krylov method (Musco & Musco 2015, algorithm 2), which uses a sparse V only in products.
    Missing entries are replaced by the mean of the observed ones.

    Args:
        V: non-negative matrix (n, m), as in `factorize`.
        rank: int, the number of singular values, at most min(n, m).
        weights: as in `factorize`, but all weights above 0 are equivalent. Defaults to ones.
        observed: as in `factorize`. Defaults to `"all"`.
        dtype: as in `factorize`.
        seed: int for the randomised iteration. Defaults to 0.

    Returns:
        Arrays U (n, rank), s (rank,) descending, Vt (rank, m). Each row of Vt has its largest entry
        positive.

    Example:

    >>> import numpy as np
    >>> U, s, Vt = truncated_svd(np.array([[5.0, 4, 1], [4, 5, 1], [2, 1, 5]]), 1)
    >>> (U * s @ Vt).round(1)
    array([[4.4, 4.1, 2.1],
           [4.3, 4.1, 2.1],
           [2.5, 2.4, 1.2]])
    """
    return decompose(read(V, weights, observed, dtype), rank, seed)


def decompose(reading: Reading, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the result of `truncated_svd` for a `Reading`."""
    if not 1 <= rank <= min(reading.shape):
        raise ValueError(
            f"`rank` should be from 1 to {min(reading.shape)}, the smaller side of V. "
            f"Received: {rank}"
        )
    times, across = _products(reading)
    if min(reading.shape) <= max(200, 2 * rank):
        identity = np.eye(min(reading.shape), dtype=reading.dtype)
        if reading.shape[0] <= reading.shape[1]:
            left, values, right = np.linalg.svd(across(identity).T, full_matrices=False)
        else:
            left, values, right = np.linalg.svd(times(identity), full_matrices=False)
    else:
        left, values, right = _block_krylov(times, across, reading, rank, seed)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    largest = np.take_along_axis(right, np.abs(right).argmax(1)[:, None], 1)
    signs = np.where(largest < 0, -1, 1).astype(reading.dtype)
    return left * signs.T, values, right * signs


def _products(reading):
    """Returns the functions X → V X and X → Vᵀ X."""
    mean = reading.mean()
    if not reading.sparse:
        V = reading.values
        if reading.weights is not None:
            V = np.where(reading.weights > 0, V, np.asarray(mean, dtype=reading.dtype))
        return lambda X: V @ X, lambda X: V.T @ X
    values = reading.values
    filling = 0 if reading.base else mean
    if reading.weights is not None:
        values = np.where(reading.weights > 0, values, np.asarray(mean, dtype=reading.dtype))
    values = (values - filling).astype(reading.dtype)
    by_column = np.lexsort((reading.rows, reading.columns))

    def product(rows, columns, values, count, X):
        starts = np.searchsorted(rows, np.arange(count + 1))
        result = np.zeros((count, X.shape[1]), dtype=X.dtype)
        full = np.flatnonzero(np.diff(starts))
        if full.size:
            terms = values[:, None] * X[columns]
            result[full] = np.add.reduceat(terms, starts[full], axis=0)
        return result + (filling * X.sum(0, keepdims=True)).astype(X.dtype)

    def times(X):
        return product(reading.rows, reading.columns, values, reading.shape[0], X)

    def across(X):
        rows, columns = reading.columns[by_column], reading.rows[by_column]
        return product(rows, columns, values[by_column], reading.shape[1], X)

    return times, across


def _block_krylov(times, across, reading, rank, seed, depth=8, oversampling=10):
    """Returns singular vectors and values, of which the leading ones are accurate.

    The basis spans the columns' space; on the rows' side the width stays `rank + oversampling`.
    """
    width = min(rank + oversampling, min(reading.shape))
    generator = np.random.default_rng(seed)
    block = generator.standard_normal((reading.shape[1], width)).astype(reading.dtype)
    blocks = []
    for _ in range(depth):
        block = np.linalg.qr(across(times(block)))[0]
        blocks.append(block)
    basis = np.linalg.qr(np.concatenate(blocks, axis=1))[0]
    starts = range(0, basis.shape[1], width)
    images = [across(times(basis[:, start : start + width])) for start in starts]
    vectors = np.linalg.eigh(basis.T @ np.concatenate(images, axis=1))[1]
    basis = basis @ vectors[:, ::-1][:, :width]
    left, triangle = np.linalg.qr(times(basis))
    inner, values, right = np.linalg.svd(triangle)
    return left @ inner, values, right @ basis.T
