"""The objective of large margin nearest neighbor classification on a fixed set, in NumPy."""

import numpy as np
from numpy.typing import ArrayLike

BLOCK_ENTRIES = 2**21


def target_neighbors(x: ArrayLike, y: ArrayLike, neighbors: int = 3) -> np.ndarray:
    """Returns each example's nearest examples of its own label, by Euclidean distance.

    Args:
        x: float array (N, features).
        y: array (N,) of labels.
        neighbors: int > 0.

    Returns:
        int64 array (N, neighbors), nearest first, -1 where a label has too few examples.

    Raises:
        ValueError: for arrays that do not match or are not finite, and if no two examples have the
            same label.
    """
    x, y = np.asarray(x, dtype="float64"), np.asarray(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or not np.isfinite(x).all():
        raise ValueError(
            "Expected finite examples (N, features) and labels (N,). "
            f"Received: shapes {x.shape} and {y.shape}, {np.sum(~np.isfinite(x))} not finite"
        )
    if neighbors < 1:
        raise ValueError(f"Expected at least one neighbor. Received: neighbors={neighbors}")
    targets = np.full((len(x), neighbors), -1, dtype="int64")
    _, codes = np.unique(y, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for group in np.split(order, np.cumsum(np.bincount(codes))[:-1]):
        distances = _squared(x[group], x[group])
        np.fill_diagonal(distances, np.inf)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(neighbors, len(group) - 1)]
        targets[group, : nearest.shape[1]] = group[nearest]
    if (targets < 0).all():
        raise ValueError(
            f"Expected two examples of one label. Received: {len(y)} examples, no two alike"
        )
    return targets


def large_margin_objective(
    root: np.ndarray, x: np.ndarray, y: np.ndarray, targets: np.ndarray, push: float = 0.5
) -> tuple[float, np.ndarray]:
    """Returns the objective and its gradient.

    Weinberger & Saul 2009, equations 11 to 13 and 17, with `j` over the target neighbors of `i`
    and `l` over all examples of other labels:

    ```
    f(M) = Σ_i Σ_j [(1 − μ) d_ij + μ Σ_l max(0, 1 + d_ij − d_il)]
    d_ij = (x_i − x_j)ᵀ M (x_i − x_j)        M = LᵀL
    ```

    All impostors count; the distances are computed for some rows at a time.

    Args:
        root: float array (size, features), `L`.
        x: float array (N, features).
        y: array (N,) of labels.
        targets: int array (N, k), as `target_neighbors` returns it.
        push: float in [0, 1], μ.

    Returns:
        f, a float, and its gradient with respect to `M`, float64 (features, features), symmetric.
        The gradient with respect to `L` is `2 L` times it.
    """
    x = x - x.mean(axis=0)
    mapped = x @ root.T
    weighted = np.zeros((x.shape[1], x.shape[1]))
    sums = np.zeros(len(x))
    total = 0.0
    step = max(1, BLOCK_ENTRIES // len(x))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        distances = _squared(mapped[rows], mapped)
        different = y[rows, None] != y
        weights = np.zeros_like(distances)
        for target in targets[rows].T:
            owners = np.flatnonzero(target >= 0)
            target = target[owners]
            pulled = distances[owners, target]
            hinges = 1 + pulled[:, None] - distances[owners]
            active = (hinges > 0) & different[owners]
            total += (1 - push) * pulled.sum() + push * hinges[active].sum()
            weights[owners, target] += (1 - push) + push * active.sum(axis=1)
            weights[owners] -= push * active
        # Σ w_ij (x_i − x_j)(x_i − x_j)ᵀ = Xᵀ (rows' sums + columns' sums − W − Wᵀ) X
        crossed = x[rows].T @ (weights @ x)
        weighted -= crossed + crossed.T
        sums[rows] += weights.sum(axis=1)
        sums += weights.sum(axis=0)
    return float(total), weighted + (x * sums[:, None]).T @ x


def _squared(first, second):
    """Returns the squared distances (n, m) of the rows, never negative."""
    products = first @ second.T
    norms = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    return np.maximum(norms - 2 * products, 0)
