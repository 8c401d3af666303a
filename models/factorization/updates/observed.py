"""The matrix V in the updates: dense, with weights, or sparse.

Dimensions: n rows and m columns of V, r the rank, e stored entries of a sparse V. W is (n, r) and
G, the transpose of H, (m, r), so that a row of either is contiguous.

Both classes have the same methods, on tensors inside a compiled function. Weights M are one by
default and zero where V is not observed; an unobserved entry has no effect.
"""

from typing import Any

from keras import ops

from ... import backend
from ...types import Tensor
from .hierarchical import hierarchical_update, sweep
from .losses import safe_ratio


def total(terms: Tensor) -> Tensor:
    """Returns the sum of a tensor: rows are summed in its dtype, then their sums in float64."""
    if len(terms.shape) > 1:
        terms = ops.sum(terms, axis=-1)
    return ops.sum(ops.cast(terms, "float64"))


def _euclidean_value(W, numerator, denominator, square):
    """Returns the loss and the size of the terms that cancel in it."""
    linear, quadratic = total(W * numerator), 0.5 * total(W * denominator)
    value = square - linear + quadratic
    return ops.where(value < 0, 0, value), square + linear + quadratic


def _log_terms(V, WH):
    """Returns `V log(V/WH)`, 0 where V is 0."""
    return V * ops.log(ops.where(V > 0, V / ops.where(V > 0, WH, 1), 1))


def _ratio_and_log(V, WH):
    """Returns V/WH and the row sums of `V log(V/WH)` and of its absolute value."""
    terms = _log_terms(V, WH)
    return safe_ratio(V, WH), ops.sum(terms, axis=-1), ops.sum(ops.abs(terms), axis=-1)


def _sampled(W, G, rows, columns):
    """Returns the entries (e,) of W Gᵀ at the given places."""
    return ops.sum(ops.take(W, rows, axis=0) * ops.take(G, columns, axis=0), axis=-1)


def _sampled_difference(W, G, rows, columns, extra):
    return extra * _sampled(W, G, rows, columns)


def _sampled_ratio(values, W, G, rows, columns):
    return safe_ratio(values, _sampled(W, G, rows, columns))


def _sampled_ratio_and_log(values, W, G, rows, columns):
    WH = _sampled(W, G, rows, columns)
    return safe_ratio(values, WH), _log_terms(values, WH)


class DenseMatrix:
    """A dense V, with or without weights.

    Args:
        settings: hashable, `(weighted, fuse)`.
        tensors: dict with `values` (n, m), V times the weights; `weights` (n, m) if weighted; and
            the float64 scalars `square`, half the sum of M V², and `entropy`, the sum of
            M V (1 + log M).
    """

    def __init__(self, settings: tuple, tensors: dict[str, Any]) -> None:
        self.weighted, fuse = settings
        self.tensors = tensors
        self.fuse = backend.fused if fuse else lambda function: function

    def row_parts(
        self, loss: str, W: Tensor, G: Tensor, evaluate: bool
    ) -> tuple[Tensor, Tensor, Any]:
        """Returns numerator and denominator (n, r), the loss and the size of its terms."""
        V = self.tensors["values"]
        if loss == "euclidean":
            numerator = V @ G
            denominator = self._euclidean_denominator(W, G)
            value = None
            if evaluate:
                value = self.fuse(_euclidean_value)(
                    W, numerator, denominator, self.tensors["square"]
                )
            return numerator, denominator, value
        WH = W @ ops.transpose(G)
        denominator = self._divergence_denominator(G, W)
        if not evaluate:
            ratio = self.fuse(safe_ratio)(V, WH)
            return ratio @ G, denominator, None
        ratio, logs, sizes = self.fuse(_ratio_and_log)(V, WH)
        linear = total(W * denominator)
        entropy = self.tensors["entropy"]
        value = (total(logs) - entropy + linear, total(sizes) + ops.abs(entropy) + linear)
        return ratio @ G, denominator, value

    def steps(self, loss: str) -> bool:
        """Returns False: updates of a dense V are computed from the parts."""
        return False

    def column_parts(self, loss: str, W: Tensor, G: Tensor) -> tuple[Tensor, Tensor]:
        """Returns numerator and denominator (m, r) for G."""
        V = self.tensors["values"]
        if loss == "euclidean":
            numerator = ops.transpose(V) @ W
            if not self.weighted:
                return numerator, G @ (ops.transpose(W) @ W)
            WH = W @ ops.transpose(G)
            return numerator, ops.transpose(self.tensors["weights"] * WH) @ W
        ratio = self.fuse(safe_ratio)(V, W @ ops.transpose(G))
        numerator = ops.transpose(ratio) @ W
        if self.weighted:
            return numerator, ops.transpose(self.tensors["weights"]) @ W
        return numerator, ops.broadcast_to(ops.sum(W, axis=0), ops.shape(G))

    def row_sweep(
        self, W: Tensor, G: Tensor, numerator: Tensor, l1: float | Tensor, l2: float | Tensor
    ) -> Tensor:
        """Returns W after a sweep of `hierarchical_update`, by its numerator."""
        return self._sweep(W, G, numerator, self.tensors.get("weights"), l1, l2)

    def column_sweep(
        self, W: Tensor, G: Tensor, numerator: Tensor, l1: float | Tensor, l2: float | Tensor
    ) -> Tensor:
        """Returns G after a sweep of `hierarchical_update`, by its numerator."""
        weights = self.tensors.get("weights")
        across = None if weights is None else ops.transpose(weights)
        return self._sweep(G, W, numerator, across, l1, l2)

    def _sweep(self, W, G, numerator, weights, l1, l2):
        if weights is None:
            gram = ops.transpose(G) @ G
            return self.fuse(hierarchical_update)(W, numerator, gram, l1, l2)

        def curvature(columns, k):
            products = weights @ (G * ops.take(G, k, axis=1)[:, None])
            pulled = ops.sum(ops.transpose(columns) * products, axis=-1)
            return pulled, ops.take(products, k, axis=1)

        return sweep(W, numerator, curvature, l1, l2)

    def _euclidean_denominator(self, W, G):
        if not self.weighted:
            return W @ (ops.transpose(G) @ G)
        return (self.tensors["weights"] * (W @ ops.transpose(G))) @ G

    def _divergence_denominator(self, G, W):
        if self.weighted:
            return self.tensors["weights"] @ G
        return ops.broadcast_to(ops.sum(G, axis=0), ops.shape(W))


class SparseMatrix:
    """A sparse V whose unstored entries are zeros, or are not observed.

    Nothing of size (n, m) is created: the product of W and H is computed only at stored places.

    Args:
        settings: hashable, `(base, weighted, fuse)`: base is the weight of the unstored entries, 0
            or 1; weighted says whether a stored entry's weight differs from it.
        tensors: dict with the scalars of `DenseMatrix` and two dicts `by_row` and `by_column`, each
            with `pattern` of `backend.sparse_pattern`, `values` (e,), V times the weights, and
            `extra` (e,), the weights minus base, if weighted. The pattern may lack the places if
            neither weights nor the divergence need them.
    """

    def __init__(self, settings: tuple, tensors: dict[str, Any]) -> None:
        self.base, self.weighted, fuse = settings
        self.tensors = tensors
        self.fuse = backend.fused if fuse else lambda function: function

    def row_parts(
        self, loss: str, W: Tensor, G: Tensor, evaluate: bool
    ) -> tuple[Tensor, Tensor, Any]:
        """Returns numerator and denominator (n, r), the loss and the size of its terms."""
        return self._parts(self.tensors["by_row"], loss, W, G, evaluate)

    def column_parts(self, loss: str, W: Tensor, G: Tensor) -> tuple[Tensor, Tensor]:
        """Returns numerator and denominator (m, r) for G."""
        return self._parts(self.tensors["by_column"], loss, G, W, False)[:2]

    def steps(self, loss: str) -> bool:
        """Returns whether `row_step` and `column_step` support the loss."""
        return loss == "euclidean" and bool(self.base) and not self.weighted

    def row_step(self, W: Tensor, G: Tensor) -> Tensor:
        """Returns W after a multiplicative update without penalties.

        It is faster than an update from parts: each block of rows is divided where it was
        multiplied. A column of W that the loss does not depend on, since G's is 0, becomes 0.
        """
        return self._step(self.tensors["by_row"], W, G)

    def column_step(self, W: Tensor, G: Tensor) -> Tensor:
        """Returns G after a multiplicative update without penalties."""
        return self._step(self.tensors["by_column"], G, W)

    def row_sweep(
        self, W: Tensor, G: Tensor, numerator: Tensor, l1: float | Tensor, l2: float | Tensor
    ) -> Tensor:
        """Returns W after a sweep of `hierarchical_update`, by its numerator."""
        return self._sweep(self.tensors["by_row"], W, G, numerator, l1, l2)

    def column_sweep(
        self, W: Tensor, G: Tensor, numerator: Tensor, l1: float | Tensor, l2: float | Tensor
    ) -> Tensor:
        """Returns G after a sweep of `hierarchical_update`, by its numerator."""
        return self._sweep(self.tensors["by_column"], G, W, numerator, l1, l2)

    def _step(self, side, W, G):
        gram = ops.transpose(G) @ G

        def divided(numerator, W):
            return backend.divide_no_nan(W * numerator, W @ gram)

        return backend.sparse_times(side["pattern"], side["values"], G, divided, W)

    def _parts(self, side, loss, W, G, evaluate):
        pattern, values = side["pattern"], side["values"]
        places = pattern.get("rows"), pattern.get("columns")
        value = None
        if loss == "euclidean":
            numerator = backend.sparse_times(pattern, values, G)
            denominator = 0
            if self.base:
                denominator = W @ (ops.transpose(G) @ G)
            if self.weighted:
                difference = self.fuse(_sampled_difference)(W, G, *places, side["extra"])
                denominator = denominator + backend.sparse_times(pattern, difference, G)
            if evaluate:
                value = self.fuse(_euclidean_value)(
                    W, numerator, denominator, self.tensors["square"]
                )
            return numerator, denominator, value
        denominator = 0
        if self.base:
            denominator = ops.broadcast_to(ops.sum(G, axis=0), ops.shape(W))
        if self.weighted:
            denominator = denominator + backend.sparse_times(pattern, side["extra"], G)
        if evaluate:
            ratio, logs = self.fuse(_sampled_ratio_and_log)(values, W, G, *places)
            linear, entropy = total(W * denominator), self.tensors["entropy"]
            size = total(ops.abs(logs)) + ops.abs(entropy) + linear
            value = total(logs) - entropy + linear, size
        else:
            ratio = self.fuse(_sampled_ratio)(values, W, G, *places)
        return backend.sparse_times(pattern, ratio, G), denominator, value

    def _sweep(self, side, W, G, numerator, l1, l2):
        gram = ops.transpose(G) @ G
        if not self.weighted:
            return self.fuse(hierarchical_update)(W, numerator, gram, l1, l2)

        def curvature(columns, k):
            scaled = G * ops.take(G, k, axis=1)[:, None]
            products = backend.sparse_times(side["pattern"], side["extra"], scaled)
            if self.base:
                products = products + ops.take(gram, k, axis=0)
            pulled = ops.sum(ops.transpose(columns) * products, axis=-1)
            return pulled, ops.take(products, k, axis=1)

        return sweep(W, numerator, curvature, l1, l2)
