"""Conversion of V and its weights, of any kind, to the inputs of the compiled loop."""

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse
from keras import ops

from ... import backend
from ...types import Matrix
from .observed import DenseMatrix, SparseMatrix

FUSE_FROM = 100_000


@dataclasses.dataclass
class Reading:
    """V on the host.

    Attributes:
        shape: pair of ints (n, m).
        dtype: `"float32"` or `"float64"`.
        values: array (n, m), or (e,) of the stored entries in row order; 0 where not observed.
        weights: array like values, or None if all of them are one.
        rows: int array (e,), or None for a dense V.
        columns: int array (e,), or None.
        base: weight of the unstored entries, 0 or 1.
    """

    shape: tuple
    dtype: str
    values: np.ndarray
    weights: np.ndarray | None
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    base: int = 1

    @property
    def sparse(self) -> bool:
        """Whether V is stored sparsely."""
        return self.rows is not None

    def mean(self) -> float:
        """Returns the weighted mean of the observed entries, 0 if there are none."""
        weights = np.ones_like(self.values) if self.weights is None else self.weights
        weight = float(weights.sum(dtype="float64"))
        if self.sparse and self.base:
            weight += float(self.shape[0]) * self.shape[1] - self.values.size
        mass = float((weights * self.values).sum(dtype="float64"))
        return mass / weight if weight > 0 else 0.0

    def matrix(self, loss: str) -> tuple[type, tuple, dict[str, Any]]:
        """Returns class, settings and tensors of V: the matrix is `class(settings, tensors)`.

        Args:
            loss: `"euclidean"` or `"divergence"`.
        """
        weights = self.weights
        weighted = self.values if weights is None else weights * self.values
        entropy = weighted.sum(dtype="float64")
        if weights is not None:
            wide = weighted.astype("float64")
            logs = np.log(weights, out=np.zeros_like(wide), where=weights > 0, dtype="float64")
            entropy = entropy + (wide * logs).sum()
        tensors = {
            "square": ops.convert_to_tensor(
                0.5 * _inner_product(weighted, self.values), dtype="float64"
            ),
            "entropy": ops.convert_to_tensor(entropy, dtype="float64"),
        }
        fuse = self.values.size >= FUSE_FROM
        if not self.sparse:
            tensors["values"] = ops.convert_to_tensor(weighted)
            if weights is not None:
                tensors["weights"] = ops.convert_to_tensor(weights)
            return DenseMatrix, (weights is not None, fuse), tensors
        different = weights is not None or not self.base
        if different:
            extra = (1 if weights is None else weights) - np.full_like(weighted, self.base)
            different = bool(extra.any())
        places = different or loss == "divergence"
        for name, order, rows, columns, shape in (
            ("by_row", slice(None), self.rows, self.columns, self.shape),
            ("by_column", *self._across(), self.shape[::-1]),
        ):
            side = {
                "pattern": backend.sparse_pattern(rows, columns, shape, places),
                "values": ops.convert_to_tensor(weighted[order]),
            }
            if different:
                side["extra"] = ops.convert_to_tensor(extra[order])
            tensors[name] = side
        return SparseMatrix, (self.base, different, fuse), tensors

    def _across(self):
        """Returns the order of the stored entries by column, their columns and their rows."""
        entries = np.arange(self.values.size, dtype="int32")
        by_row = scipy.sparse.coo_array((entries, (self.rows, self.columns)), shape=self.shape)
        by_column = by_row.tocsc()
        columns = np.repeat(np.arange(self.shape[1], dtype="int32"), np.diff(by_column.indptr))
        return by_column.data, columns, by_column.indices


def read(
    V: Matrix, weights: Matrix | None = None, observed: str = "all", dtype: str | None = None
) -> Reading:
    """Returns the `Reading` of V.

    Args:
        V: non-negative matrix (n, m): array, tensor, anything of `scipy.sparse`, or a
            `tf.sparse.SparseTensor`. NaN is a missing entry.
        weights: non-negative matrix (n, m) or mask, 0 or False where V is missing. For a sparse V:
            a sparse matrix with the same stored entries. Defaults to ones.
        observed: `"all"`: the unstored entries of a sparse V are zeros. `"stored"`: they are
            missing.
        dtype: `"float32"` or `"float64"`. Defaults to V's dtype, or float32 if V has another one.

    Raises:
        ValueError: if V or the weights are not as described.
    """
    if observed not in ("all", "stored"):
        raise ValueError(f'`observed` should be "all" or "stored". Received: {observed!r}')
    stored = _stored(V)
    if stored is None:
        if observed == "stored":
            raise ValueError(
                '`observed="stored"` needs a sparse V; mark the missing entries of a dense one by '
                f"NaN or by `weights`. Received: V of {type(V).__name__}"
            )
        values = np.asarray(V if isinstance(V, np.ndarray) else ops.convert_to_numpy(V))
        shape, rows, columns = values.shape, None, None
    else:
        values, rows, columns, shape = stored
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"V should be a matrix with rows and columns. Received: shape {shape}")
    dtype = dtype or (values.dtype.name if values.dtype.name == "float64" else "float32")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"`dtype` should be float32 or float64. Received: {dtype!r}")
    values = values.astype(dtype, copy=False)
    weights = _weights(weights, stored, shape, dtype)
    missing = np.isnan(values)
    if weights is not None:
        missing |= weights == 0
    if missing.any():
        if weights is None:
            weights = np.ones_like(values)
        weights = np.where(missing, 0, weights).astype(dtype)
        values = np.where(missing, 0, values)
    if values.size and not (values.min() >= 0 and np.isfinite(values.max())):
        invalid = values[(values < 0) | ~np.isfinite(values)][0]
        raise ValueError(f"V should be non-negative and finite, or NaN. Received: {invalid}")
    base = 0 if observed == "stored" else 1
    return Reading(tuple(shape), dtype, values, weights, rows, columns, base)


def _weights(weights, stored, shape, dtype):
    """Returns the weights in V's order, or None."""
    if weights is None:
        return None
    if stored is None:
        is_array = isinstance(weights, np.ndarray)
        values = np.asarray(weights if is_array else ops.convert_to_numpy(weights))
        matches = values.shape == tuple(shape)
    else:
        values, *places = _stored(weights) or (np.empty(0),)
        matches = len(places) == 3 and all(map(np.array_equal, stored[1:], places))
    if not matches:
        received = getattr(weights, "shape", type(weights).__name__)
        raise ValueError(
            f"`weights` should have V's shape {tuple(shape)} and, for a sparse V, its stored "
            f"entries. Received: {received}"
        )
    values = values.astype(dtype)
    if values.size and not (values.min() >= 0 and np.isfinite(values.max())):
        invalid = values[~((values >= 0) & np.isfinite(values))][0]
        raise ValueError(f"`weights` should be non-negative and finite. Received: {invalid}")
    return values


def _stored(V):
    """Returns values, rows, columns and shape of a sparse matrix in row order, else None."""
    if hasattr(V, "tocoo"):
        V = V.tocoo()
        rows, columns, values, shape = V.row, V.col, V.data, V.shape
    elif all(hasattr(V, name) for name in ("indices", "values", "dense_shape")):
        places = ops.convert_to_numpy(V.indices)
        rows, columns = places[:, 0], places[:, 1]
        values = ops.convert_to_numpy(V.values)
        shape = tuple(int(size) for size in ops.convert_to_numpy(V.dense_shape))
    else:
        return None
    new = np.ones(len(rows), dtype=bool)
    down, right = np.diff(rows), np.diff(columns)
    if not ((down > 0) | ((down == 0) & (right >= 0))).all():
        order = _stable_order(columns)
        order = order[_stable_order(rows[order])]
        rows, columns, values = rows[order], columns[order], values[order]
        down, right = np.diff(rows), np.diff(columns)
    new[1:] = (down != 0) | (right != 0)
    if not new.all():
        values = np.add.reduceat(values, np.flatnonzero(new))
        rows, columns = rows[new], columns[new]
    return values, rows, columns, tuple(shape)


def _stable_order(keys):
    """Returns the stable sorting order of non-negative ints, by NumPy's radix sort of 16 bits."""
    order = np.argsort((keys & 0xFFFF).astype("uint16"), kind="stable")
    shift = 16
    while keys.size and keys.max() >> shift:
        digits = ((keys[order] >> shift) & 0xFFFF).astype("uint16")
        order = order[np.argsort(digits, kind="stable")]
        shift += 16
    return order


def _inner_product(first, second):
    """Returns the sum of products in float64, without BLAS, whose threads spin after a call."""
    return float(np.einsum("i,i->", first.reshape(-1), second.reshape(-1), dtype="float64"))
