"""The updates of a factorization, cut into what one row block adds and what the sums give.

Rows of W depend on one another only through H, and H depends on W only through sums over the rows.
So a pass over the blocks updates W block by block and adds up the sums, and H follows from them.

This is NumPy and SciPy, and not `models.factorization` on `keras.ops`: importing Keras with
TensorFlow would cost each worker process 3 s and 400 MB, and a block's work is a sparse product
that takes 3 ms. The tests hold both to the same numbers.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from scipy import sparse

Sums = dict[str, np.ndarray]
"""Float64 arrays by name, which add up over the blocks."""

_ENTRIES = 1 << 13


@dataclasses.dataclass(frozen=True)
class BlockUpdates:
    """One iteration of a factorization V ≈ W H, first W, then H, in terms of row blocks.

    | solver, loss, observed | a block's sums |
    |---|---|
    | either, `"euclidean"`, `"all"` | WᵀV (r × m), WᵀW (r × r) |
    | multiplicative, `"divergence"`, `"all"` | Wᵀ(V / WH) (r × m), the column sums of W (r) |
    | multiplicative, `"euclidean"`, `"stored"` | WᵀV, Wᵀ(WH at the entries of V) (r × m each) |
    | multiplicative, `"divergence"`, `"stored"` | Wᵀ(V / WH), Wᵀ(1 at the entries of V) |

    The multiplicative updates are Lee and Seung's (2001, "Algorithms for Non-negative Matrix
    Factorization", equations 4 and 5); the hierarchical ones are alternating least squares column
    by column (Cichocki and Phan 2009, "Fast Local Algorithms for Large Scale Nonnegative Matrix and
    Tensor Factorizations", algorithm 2), one sweep an iteration.

    Args:
        solver: `"multiplicative"` or `"hierarchical"`.
        loss: `"euclidean"`, ‖V − WH‖² / 2, or `"divergence"`, Σ V log(V / WH) − V + WH.
        observed: `"all"`: what V does not store is zero. `"stored"`: it is missing, so that loss
            and updates see the stored entries only.

    Raises:
        ValueError: an unknown name, or the hierarchical solver with anything but the Euclidean
            loss over all entries, which its sums cannot express.
    """

    solver: Literal["multiplicative", "hierarchical"] = "multiplicative"
    loss: Literal["euclidean", "divergence"] = "euclidean"
    observed: Literal["all", "stored"] = "all"

    def __post_init__(self) -> None:
        known = {
            "solver": ("multiplicative", "hierarchical"),
            "loss": ("euclidean", "divergence"),
            "observed": ("all", "stored"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, values))}. "
                    f"Received: {getattr(self, name)!r}"
                )
        if self.solver == "hierarchical" and not self.uses_gram:
            raise ValueError(
                "The hierarchical solver needs loss='euclidean' and observed='all'; take "
                "solver='multiplicative' for the others. "
                f"Received: loss={self.loss!r}, observed={self.observed!r}"
            )

    @property
    def uses_gram(self) -> bool:
        """Whether WᵀV and WᵀW say all, the loss of the new W and H included.

        Where they do not, the loss of an iteration is known when the next one, or `measure`, has
        seen V again.
        """
        return self.loss == "euclidean" and self.observed == "all"

    def update_block(
        self, matrix: sparse.csr_array, weights: np.ndarray, components: np.ndarray
    ) -> tuple[np.ndarray, Sums]:
        """Updates the rows of W that belong to a block.

        Args:
            matrix: the block of V (n, m).
            weights: the block of W (n, r).
            components: H (r, m), of the same dtype.

        Returns:
            The new block of W, and the block's sums with it. Unless `uses_gram`, they hold under
            `"loss"` the block's share of the loss of the *given* W and H.
        """
        transposed = np.ascontiguousarray(components.T)
        if self.uses_gram:
            products = np.asarray(matrix @ transposed)
            gram = components @ transposed
            if self.solver == "hierarchical":
                weights = _swept(weights.T, products.T, gram).T
                weights = np.ascontiguousarray(weights)
            else:
                weights = _multiplied(weights, products, weights @ gram)
            return weights, {
                "numerator": np.asarray(matrix.T @ weights, dtype=np.float64).T,
                "gram": (weights.T @ weights).astype(np.float64),
            }
        estimates = stored_products(matrix, weights, transposed)
        sums = {"loss": self._block_loss(matrix, weights, components, estimates)}
        above, below = self._sides(matrix, estimates)
        denominator = components.sum(axis=1) if below is None else below @ transposed
        weights = _multiplied(weights, above @ transposed, denominator)
        above, below = self._sides(matrix, stored_products(matrix, weights, transposed))
        sums["numerator"] = np.asarray(above.T @ weights, dtype=np.float64).T
        if below is None:
            sums["denominator"] = weights.sum(axis=0, dtype=np.float64)[:, None]
        else:
            sums["denominator"] = np.asarray(below.T @ weights, dtype=np.float64).T
        return weights, sums

    def update_components(self, components: np.ndarray, sums: Sums) -> np.ndarray:
        """Returns the new H, of the same dtype, from the sums over all blocks."""
        exact = components.astype(np.float64)
        if not self.uses_gram:
            updated = _multiplied(exact, sums["numerator"], sums["denominator"])
        elif self.solver == "hierarchical":
            updated = _swept(exact, sums["numerator"], sums["gram"])
        else:
            updated = _multiplied(exact, sums["numerator"], sums["gram"] @ exact)
        return updated.astype(components.dtype)

    def loss_from_gram(self, components: np.ndarray, sums: Sums, squares: float) -> float:
        """Returns the loss of the new W and any H: (‖V‖² − 2⟨WᵀV, H⟩ + ⟨WᵀW, HHᵀ⟩) / 2.

        Args:
            components: H (r, m).
            sums: over all blocks.
            squares: ‖V‖², the sum of the squares of V.
        """
        exact = components.astype(np.float64)
        crossed = np.vdot(sums["numerator"], exact)
        loss = (squares - 2 * crossed + np.vdot(sums["gram"], exact @ exact.T)) / 2
        return max(float(loss), 0.0)

    def measure_block(
        self, matrix: sparse.csr_array, weights: np.ndarray, components: np.ndarray
    ) -> Sums:
        """Returns a block's share of the loss, under `"loss"`; not for what `uses_gram`."""
        estimates = stored_products(matrix, weights, np.ascontiguousarray(components.T))
        return {"loss": self._block_loss(matrix, weights, components, estimates)}

    def _sides(
        self, matrix: sparse.csr_array, estimates: np.ndarray
    ) -> tuple[sparse.csr_array, sparse.csr_array | None]:
        """Returns what stands above and below the fraction in place of V and WH.

        `None` below stands for ones everywhere.
        """
        if self.loss == "euclidean":
            return matrix, _with_data(matrix, estimates)
        ratio = np.divide(matrix.data, estimates, out=np.zeros_like(estimates), where=estimates > 0)
        above = _with_data(matrix, ratio)
        if self.observed == "all":
            return above, None
        return above, _with_data(matrix, np.ones_like(estimates))

    def _block_loss(
        self,
        matrix: sparse.csr_array,
        weights: np.ndarray,
        components: np.ndarray,
        estimates: np.ndarray,
    ) -> np.ndarray:
        data = matrix.data.astype(np.float64)
        estimates = estimates.astype(np.float64)
        if self.loss == "euclidean":
            difference = data - estimates
            return np.asarray(difference @ difference / 2)
        positive = data > 0
        # A value above zero whose estimate is zero makes the divergence infinite.
        with np.errstate(divide="ignore"):
            logarithms = np.log(data[positive] / estimates[positive])
        loss = data[positive] @ logarithms - data.sum()
        if self.observed == "all":
            loss += weights.sum(axis=0, dtype=np.float64) @ components.sum(axis=1, dtype=np.float64)
        else:
            loss += estimates.sum()
        return np.asarray(loss)


def added(totals: Sums, sums: Sums) -> Sums:
    """Adds sums to totals in place, which may be empty, and returns them."""
    for name, values in sums.items():
        if name in totals:
            totals[name] += values
        else:
            totals[name] = np.array(values, dtype=np.float64)
    return totals


def _multiplied(factor: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns factor · above / below; what the loss does not depend on, below = 0, stays."""
    return np.divide(factor * above, below, out=factor.copy(), where=below > 0)


def _swept(factor: np.ndarray, products: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Returns a factor (r, n) after one sweep, each row the best that the others allow."""
    factor = np.array(factor, order="C")
    products = np.ascontiguousarray(products)
    for index in range(len(factor)):
        if gram[index, index] > 0:
            step = (products[index] - gram[index] @ factor) / gram[index, index]
            np.maximum(factor[index] + step, 0, out=factor[index])
    return factor


def stored_products(
    matrix: sparse.csr_array, weights: np.ndarray, transposed: np.ndarray
) -> np.ndarray:
    """Returns WH at the stored entries of V, in pieces that stay in the processor's cache.

    Args:
        matrix: V (n, m); its values do not matter.
        weights: W (n, r).
        transposed: Hᵀ (m, r).

    Returns:
        Array (entries,).
    """
    products = np.empty(matrix.nnz, dtype=weights.dtype)
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    left, right = np.empty((2, _ENTRIES, weights.shape[1]), dtype=weights.dtype)
    for start in range(0, matrix.nnz, _ENTRIES):
        part = slice(start, min(start + _ENTRIES, matrix.nnz))
        count = part.stop - start
        # Indices are in range; with another mode NumPy would take into a buffer of its own.
        np.take(weights, rows[part], axis=0, out=left[:count], mode="clip")
        np.take(transposed, matrix.indices[part], axis=0, out=right[:count], mode="clip")
        np.einsum("ij,ij->i", left[:count], right[:count], out=products[part])
    return products


def _with_data(matrix: sparse.csr_array, data: np.ndarray) -> sparse.csr_array:
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
