"""Factorization of rows that arrive in batches."""

import functools

import numpy as np
from keras import ops

from ... import backend
from ...types import Matrix, Tensor
from .factorization import check_solver, run
from .factorize import as_factor, as_number, as_pair
from .hierarchical import gram_curvature, sweep
from .multiplicative import multiplicative_update
from .reading import read


class MiniBatchFactorizer:
    """Learns H from batches of rows of V, and forgets old batches at a chosen rate.

    For each batch b, W_b is computed with the current H, as by `solve_rows`. Then the parts of the
    update of H are added to the accumulated parts of earlier batches, times `forgetting`:

    - multiplicative (Lefèvre, Bach & Févotte 2011): `A ← forgetting A + H · numerator_b`,
      `B ← forgetting B + denominator_b`, `H ← A / B`;
    - hierarchical (Mairal et al. 2010, with the sweep of Cichocki & Phan): `A ← forgetting A +
      W_bᵀV_b`, `B ← forgetting B + W_bᵀW_b`, then one sweep over the rows of H.

    With `forgetting=0` and all rows in one batch an update is an iteration of `factorize`. There is
    no guard, since the objective of earlier rows is unknown.

    Args:
        H: initial non-negative array (rank, m).
        loss: `"euclidean"` or `"divergence"`. Defaults to `"euclidean"`.
        solver: `"multiplicative"` or `"hierarchical"` (Euclidean, without weights or missing
            entries). Defaults to `"multiplicative"`.
        forgetting: float in [0, 1]: with 0 only the last batch counts, with 1 all count equally.
            Defaults to 1.
        row_iterations: int, the largest number of iterations for W_b. Defaults to 50.
        row_tolerance: the tolerance of these iterations. Defaults to 1e-4.
        l1: weight of the sums of W_b and H, or a pair. The weight of H is relative to the
            accumulated sums. Defaults to 0.
        l2: weight of half the sums of their squares, or a pair. Defaults to 0.
        dtype: `"float32"` or `"float64"`. Defaults to H's dtype, or float32 if H has another one.

    Attributes:
        H: array (rank, m).
        batches: int, the number of updates.

    Example:

    >>> import numpy as np
    >>> generator = np.random.default_rng(0)
    >>> V = generator.random((64, 3)) @ generator.random((3, 10))
    >>> learner = MiniBatchFactorizer(generator.random((3, 10)), forgetting=0.9)
    >>> for rows in np.split(V, 8):
    ...     W = learner.update(rows)
    >>> W.shape, learner.batches
    ((8, 3), 8)
    """

    def __init__(
        self,
        H: np.ndarray | Tensor,
        *,
        loss: str = "euclidean",
        solver: str = "multiplicative",
        forgetting: float = 1.0,
        row_iterations: int = 50,
        row_tolerance: float = 1e-4,
        l1: float | tuple[float, float] = 0.0,
        l2: float | tuple[float, float] = 0.0,
        dtype: str | None = None,
    ) -> None:
        check_solver(solver, loss)
        if solver == "additive":
            raise ValueError(
                '`solver` should be "multiplicative" or "hierarchical". Received: "additive"'
            )
        if not 0 <= forgetting <= 1:
            raise ValueError(f"`forgetting` should be from 0 to 1. Received: {forgetting}")
        self.loss, self.solver = loss, solver
        self.forgetting = as_number(forgetting, "forgetting")
        self.row_iterations, self.row_tolerance = row_iterations, row_tolerance
        self.penalties = (*as_pair(l1, "l1"), *as_pair(l2, "l2"))
        H = H if isinstance(H, np.ndarray) else ops.convert_to_numpy(H)
        self.dtype = dtype or ("float64" if H.dtype == "float64" else "float32")
        self.H = as_factor(H, np.shape(H), "H", self.dtype)
        self.batches = 0
        rank, columns = self.H.shape
        second = (rank, rank) if solver == "hierarchical" else (columns, rank)
        self._sums = np.zeros((columns, rank), self.dtype), np.zeros(second, self.dtype)

    def update(
        self,
        V: Matrix,
        W: np.ndarray | Tensor | None = None,
        *,
        weights: Matrix | None = None,
        observed: str = "all",
    ) -> np.ndarray:
        """Learns from a batch of rows and returns its W.

        Args:
            V: non-negative matrix (B, m), as in `factorize`.
            W: initial non-negative array (B, rank). Defaults to None, as in `solve_rows`.
            weights: as in `factorize`.
            observed: as in `factorize`.

        Returns:
            Array W (B, rank), computed with the H before this batch.
        """
        rank, columns = self.H.shape
        with backend.double_precision():
            reading = read(V, weights, observed, self.dtype)
            if reading.shape[1] != columns:
                raise ValueError(
                    f"V should have {columns} columns, as H has. Received: shape {reading.shape}"
                )
            if self.solver == "hierarchical" and (reading.weights is not None or not reading.base):
                raise ValueError(
                    "With batches the hierarchical solver supports no weights and no missing "
                    'entries; use solver="multiplicative". Received: weights or missing entries'
                )
            shape = (reading.shape[0], rank)
            if W is None:
                W = np.full(shape, np.sqrt(reading.mean() / rank), dtype=self.dtype)
            else:
                W = as_factor(W, shape, "W", self.dtype)
            matrix = reading.matrix(self.loss)
            l1_W, l1_H, l2_W, l2_H = self.penalties
            W = run(
                reading,
                matrix,
                W,
                self.H,
                loss=self.loss,
                solver=self.solver,
                rows_only=True,
                iterations=self.row_iterations,
                tolerance=self.row_tolerance,
                penalties=(l1_W, 0.0, l2_W, 0.0),
                learning_rate=None,
                evaluate_every=1,
            ).W
            matrix_class, settings, tensors = matrix
            step = _column_step(matrix_class, settings, self.loss, self.solver)
            *sums, G = step(
                tensors,
                *(
                    ops.convert_to_tensor(array)
                    for array in (W, np.ascontiguousarray(self.H.T), *self._sums)
                ),
                ops.convert_to_tensor([self.forgetting, l1_H, l2_H], dtype=self.dtype),
            )
            self._sums = tuple(ops.convert_to_numpy(array) for array in sums)
            self.H = np.ascontiguousarray(ops.convert_to_numpy(G).T)
        self.batches += 1
        return W


@functools.cache
def _column_step(matrix_class, settings, loss, solver):
    """Returns the compiled update of the accumulated sums and of G (m, r)."""

    def step(tensors, W, G, first, second, scalars):
        matrix = matrix_class(settings, tensors)
        forgetting, l1, l2 = scalars[0], scalars[1], scalars[2]
        numerator, denominator = matrix.column_parts(loss, W, G)
        if solver == "hierarchical":
            first = forgetting * first + numerator
            second = forgetting * second + (ops.transpose(W) @ W)
            return first, second, sweep(G, first, gram_curvature(second), l1, l2)
        first = forgetting * first + G * numerator
        second = forgetting * second + denominator
        ones = ops.ones_like(G)
        pulling = second + l1 + l2 * G
        moved = multiplicative_update(ones, first, pulling)
        return first, second, ops.where(pulling > 0, moved, G)

    fuse = settings[-1]
    return backend.compiled(step, any_shape=not fuse)
