"""Initial factors: random, or from singular vectors (Boutsidis & Gallopoulos 2008)."""

import numpy as np

from ...types import Matrix
from .reading import Reading, read
from .truncated_svd import decompose

STARTS = ("random", "nndsvd", "nndsvda")


def initialize(
    V: Matrix,
    rank: int,
    start: str = "random",
    *,
    weights: Matrix | None = None,
    observed: str = "all",
    dtype: str | None = None,
    seed: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns initial non-negative factors.

    `"random"`: absolute values of standard normals times `√(mean(V) / rank)`. `"nndsvd"`: the
    positive or the negative parts of each pair of singular vectors, whichever are larger; about
    half of the entries are zero, and multiplicative updates never change a zero: use it with the
    hierarchical solver. `"nndsvda"`: the same with the zeros replaced by the mean of V.

    Args:
        V: non-negative matrix (n, m), as in `factorize`.
        rank: int, columns of W.
        start: `"random"`, `"nndsvd"` or `"nndsvda"`. Defaults to `"random"`.
        weights: as in `factorize`.
        observed: as in `factorize`.
        dtype: as in `factorize`.
        seed: int, or None for a random seed. Defaults to None.

    Returns:
        Arrays W (n, rank) and H (rank, m) of V's dtype.
    """
    return start_factors(read(V, weights, observed, dtype), rank, start, seed)


def start_factors(
    reading: Reading, rank: int, start: str, seed: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the result of `initialize` for a `Reading`."""
    if start not in STARTS:
        raise ValueError(
            f"`start` should be one of {', '.join(STARTS)}, or a pair (W, H). Received: {start!r}"
        )
    if start == "random":
        generator = np.random.default_rng(seed)
        scale = np.sqrt(reading.mean() / rank)
        factors = [
            np.abs(scale * generator.standard_normal(shape)).astype(reading.dtype)
            for shape in ((rank, reading.shape[1]), (reading.shape[0], rank))
        ]
        return factors[1], factors[0]
    left, values, right = decompose(reading, rank, 0 if seed is None else seed)
    W, H = np.empty_like(left), np.empty_like(right)
    for k in range(rank):
        W[:, k], H[k] = _larger_parts(left[:, k], values[k], right[k])
    if start == "nndsvda":
        mean = reading.mean()
        W[W == 0] = mean
        H[H == 0] = mean
    return W, H


def _larger_parts(left, value, right):
    """Returns the non-negative rank-1 part of one singular pair."""
    candidates = []
    for sign in (1, -1):
        u, v = np.maximum(sign * left, 0), np.maximum(sign * right, 0)
        u_norm, v_norm = np.linalg.norm(u), np.linalg.norm(v)
        candidates.append((u_norm * v_norm, u, v, u_norm, v_norm))
    product, u, v, u_norm, v_norm = max(candidates, key=lambda candidate: candidate[0])
    if product == 0:
        return np.zeros_like(left), np.zeros_like(right)
    scale = np.sqrt(value * product)
    return scale * u / u_norm, scale * v / v_norm
