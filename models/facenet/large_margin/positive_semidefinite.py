"""The cone of positive semi-definite matrices, which contains the matrices of metrics."""

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from ...types import Tensor


def nearest_positive_semidefinite(matrix: ArrayLike, rank: int | None = None) -> np.ndarray:
    """Returns the nearest positive semi-definite matrix in the Frobenius norm.

    Its eigenvalues are those of the symmetric part, the negative ones replaced by 0.

    Args:
        matrix: float array (D, D).
        rank: int, the number of largest eigenvalues to keep, or `None` for all.

    Returns:
        float64 array (D, D), symmetric.

    Raises:
        ValueError: for another shape and for values that are not finite.

    Example:

    >>> nearest_positive_semidefinite([[2.0, 0.0], [0.0, -1.0]])
    array([[2., 0.],
           [0., 0.]])
    """
    matrix = np.asarray(matrix, dtype="float64")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(
            "Expected a finite square matrix. "
            f"Received: shape {matrix.shape}, {np.sum(~np.isfinite(matrix))} not finite"
        )
    root = factor(matrix, rank)
    return root.T @ root


def factor(matrix: ArrayLike, rank: int | None = None) -> np.ndarray:
    """Returns `L` with `LᵀL` the nearest positive semi-definite matrix.

    Args:
        matrix: float array (D, D).
        rank: int, the number of rows of `L`, or `None` for D.

    Returns:
        float64 array (rank, D), its rows orthogonal, the longest first.
    """
    matrix = np.asarray(matrix, dtype="float64")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    largest = np.argsort(values)[::-1][:rank]
    return np.sqrt(np.maximum(values[largest], 0))[:, None] * vectors[:, largest].T


@keras.saving.register_keras_serializable(package="methodical")
class PositiveSemidefinite(keras.constraints.Constraint):
    """Keeps a square weight positive semi-definite: negative eigenvalues become 0 after each step.

    For a metric that is learned as its whole matrix `M`; `LargeMarginMetric` learns `L` of
    `M = LᵀL` and needs no constraint.

    ```python
    metric = keras.layers.Dense(3, use_bias=False, kernel_constraint=PositiveSemidefinite())
    ```

    Raises:
        ValueError: for a weight that is not square.
    """

    def __call__(self, matrix: Tensor) -> Tensor:
        """Returns the nearest positive semi-definite matrix, a tensor (D, D)."""
        if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"Expected a square weight. Received: shape {tuple(matrix.shape)}")
        matrix = ops.convert_to_tensor(matrix)
        values, vectors = ops.eigh((matrix + ops.transpose(matrix)) / 2)
        return ops.matmul(vectors * ops.maximum(values, 0), ops.transpose(vectors))
