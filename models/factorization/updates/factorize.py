"""`factorize`: V ≈ WH by any of the updates, and `solve_rows`: W for a fixed H."""

import operator
from collections.abc import Sequence

import numpy as np
from keras import ops

from ... import backend
from ...types import Matrix, Tensor
from .factorization import Factorization, run
from .initialization import start_factors
from .reading import read


def factorize(
    V: Matrix,
    rank: int,
    *,
    loss: str = "euclidean",
    solver: str = "multiplicative",
    start: str | tuple[Matrix, Matrix] = "random",
    iterations: int = 200,
    tolerance: float = 1e-4,
    weights: Matrix | None = None,
    observed: str = "all",
    l1: float | tuple[float, float] = 0.0,
    l2: float | tuple[float, float] = 0.0,
    learning_rate: float | None = None,
    evaluate_every: int = 1,
    dtype: str | None = None,
    seed: int | None = None,
) -> Factorization:
    """Factorizes a non-negative matrix, `V ≈ W H` with non-negative W and H.

    It lowers `loss + l1 (ΣW + ΣH) + l2/2 (ΣW² + ΣH²)`; an iteration moves W, then H. The loss is
    `½ Σ (V − WH)²` (`"euclidean"`) or `Σ V log(V/WH) − V + WH` (`"divergence"`), each term times
    its weight. The whole loop is one compiled call; a sparse V is never made dense.

    The objective never rises: if an evaluation exceeds the previous one by more than rounding can
    explain (4 ε √(n + m) times the terms of the sum), the previous factors are returned and
    `stopped` is `"guard"`. The Euclidean distance is computed as
    `½ΣV² − Σ W·VHᵀ + ½ Σ W·WHHᵀ`: for a float32 V its accuracy is about 1e-6 ½ΣV².

    Zeros and empty rows or columns do not cause NaN. A row of zeros gets a W of zeros; a row
    without observed entries keeps its initial W.

    Args:
        V: non-negative matrix (n, m): array, tensor, anything of `scipy.sparse`, or a
            `tf.sparse.SparseTensor`. NaN is a missing entry.
        rank: int, columns of W.
        loss: `"euclidean"` or `"divergence"`. Defaults to `"euclidean"`.
        solver: `"multiplicative"` (Lee & Seung 2001, theorems 1 and 2); `"hierarchical"` (Cichocki
            & Phan 2009), the fastest, of the Euclidean loss only; `"additive"`, projected gradient
            descent. Defaults to `"multiplicative"`.
        start: `"random"`, `"nndsvd"` or `"nndsvda"` (see `initialize`), or a pair of arrays W
            (n, rank) and H (rank, m). Defaults to `"random"`.
        iterations: int, the largest number of iterations. Defaults to 200.
        tolerance: stop when the objective falls by less than this share of its first value between
            two evaluations; 0 stops only if it no longer falls, a negative tolerance never.
            Defaults to 1e-4.
        weights: non-negative matrix (n, m) or mask, 0 or False where V is missing. For a sparse V:
            a sparse matrix with the same stored entries. Defaults to ones.
        observed: `"all"`: the unstored entries of a sparse V are zeros. `"stored"`: they are
            missing, as in ratings. Defaults to `"all"`.
        l1: weight of the sums of W and H, or a pair of weights. Defaults to 0.
        l2: weight of half the sums of their squares, or a pair. Defaults to 0.
        learning_rate: positive float of the additive solver. Defaults to None: `W / denominator`
            for each entry, the one of the multiplicative rule.
        evaluate_every: int, iterations between two evaluations of the objective. Defaults to 1.
        dtype: `"float32"` or `"float64"`. Defaults to V's dtype, or float32 if V has another one.
        seed: int for the start, or None for a random seed. Defaults to None.

    Returns:
        `Factorization`.

    Raises:
        ValueError: if V, the weights or an option are not as described.

    Reference:
        Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13.

    Example:

    >>> import numpy as np
    >>> V = np.array([[5.0, 4, 1], [4, 5, 1], [2, 1, 5]])
    >>> result = factorize(V, 1, seed=0, tolerance=0)
    >>> (result.W / result.W.sum()).round(3).ravel()
    array([0.389, 0.386, 0.225])
    """
    rank = operator.index(rank)
    if rank < 1:
        raise ValueError(f"`rank` should be a positive int. Received: {rank}")
    with backend.double_precision():
        reading = read(V, weights, observed, dtype)
        if isinstance(start, str):
            W, H = start_factors(reading, rank, start, seed)
        else:
            W = as_factor(start[0], (reading.shape[0], rank), "W", reading.dtype)
            H = as_factor(start[1], (rank, reading.shape[1]), "H", reading.dtype)
        penalties = (*as_pair(l1, "l1"), *as_pair(l2, "l2"))
        return run(
            reading,
            reading.matrix(loss),
            W,
            H,
            loss=loss,
            solver=solver,
            rows_only=False,
            iterations=iterations,
            tolerance=tolerance,
            penalties=penalties,
            learning_rate=learning_rate,
            evaluate_every=evaluate_every,
        )


def solve_rows(
    V: Matrix,
    H: np.ndarray | Tensor,
    *,
    loss: str = "euclidean",
    solver: str = "multiplicative",
    start: np.ndarray | Tensor | None = None,
    iterations: int = 200,
    tolerance: float = 1e-4,
    weights: Matrix | None = None,
    observed: str = "all",
    l1: float = 0.0,
    l2: float = 0.0,
    learning_rate: float | None = None,
    evaluate_every: int = 1,
    dtype: str | None = None,
) -> Factorization:
    """Computes the non-negative W of `V ≈ W H` for a fixed H: folds in new rows.

    Each row of W depends only on its row of V. Arguments and result are those of `factorize`, but:

    Args:
        H: non-negative array (rank, m).
        start: array W (n, rank). Defaults to None: `√(mean(V) / rank)` everywhere.
        l1: weight of the sum of W. Defaults to 0.
        l2: weight of half the sum of its squares. Defaults to 0.

    Returns:
        `Factorization` with H as given.

    Example:

    >>> import numpy as np
    >>> H = np.array([[1.0, 0, 1], [0, 1, 1]])
    >>> solve_rows(np.array([[2.0, 3, 5]]), H, solver="hierarchical").W.round(2)
    array([[2., 3.]])
    """
    with backend.double_precision():
        reading = read(V, weights, observed, dtype)
        rank = np.shape(H)[0]
        H = as_factor(H, (rank, reading.shape[1]), "H", reading.dtype)
        shape = (reading.shape[0], rank)
        if start is None:
            W = np.full(shape, np.sqrt(reading.mean() / rank), dtype=reading.dtype)
        else:
            W = as_factor(start, shape, "start", reading.dtype)
        penalties = (as_number(l1, "l1"), 0.0, as_number(l2, "l2"), 0.0)
        return run(
            reading,
            reading.matrix(loss),
            W,
            H,
            loss=loss,
            solver=solver,
            rows_only=True,
            iterations=iterations,
            tolerance=tolerance,
            penalties=penalties,
            learning_rate=learning_rate,
            evaluate_every=evaluate_every,
        )


def as_factor(
    value: np.ndarray | Tensor, shape: tuple[int, int], name: str, dtype: str
) -> np.ndarray:
    """Returns a factor as an array of a shape and dtype."""
    factor = np.asarray(value if isinstance(value, np.ndarray) else ops.convert_to_numpy(value))
    if factor.shape != shape:
        raise ValueError(f"{name} should have the shape {shape}. Received: {factor.shape}")
    factor = factor.astype(dtype)
    if not (np.isfinite(factor).all() and (factor >= 0).all()):
        invalid = factor[~(np.isfinite(factor) & (factor >= 0))][0]
        raise ValueError(f"{name} should be non-negative and finite. Received: {invalid}")
    return factor


def as_pair(value: float | Sequence[float], name: str) -> tuple[float, ...]:
    """Returns the penalties of W and of H."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"`{name}` should be a float or a pair of them. Received: {value}")
    return tuple(as_number(part, name) for part in pair)


def as_number(value: float, name: str) -> float:
    """Returns a non-negative float."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"`{name}` should be non-negative and finite. Received: {value}")
    return float(value)
