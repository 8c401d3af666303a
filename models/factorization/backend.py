"""What `keras.ops` lacks: compiled functions, float64 in JAX, products with sparse matrices."""

import contextlib
import functools
import itertools
import os

import keras
import numpy as np
from keras import ops

MOST_COLUMNS = 24


def compiled(function, any_shape=False):
    """Returns a function of nested tensors, compiled as one graph where the backend compiles.

    TensorFlow: a graph of TensorFlow's own kernels, whose matrix products are faster than those of
    XLA on a CPU; what gains from XLA is given to `fused` inside. One graph for each shape, or with
    `any_shape` one for all. JAX: `jit`. PyTorch: as it is, without gradients.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        return _graphs(function, any_shape)
    if name == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.no_grad()(function)


def _graphs(function, any_shape):
    """Returns a function that traces a TensorFlow graph for each signature that it meets."""
    import tensorflow as tf

    graphs = {}

    def specification(tensor):
        shape = [None] * tensor.shape.rank if any_shape else tensor.shape
        return tf.TensorSpec(shape, tensor.dtype)

    def call(*arguments):
        signature = tf.nest.map_structure(specification, arguments)
        key = tuple(tf.nest.flatten(signature))
        if key not in graphs:
            traced = tf.function(function, autograph=False)
            graphs[key] = traced.get_concrete_function(*signature)
        return graphs[key](*arguments)

    return call


@functools.cache
def fused(function):
    """Returns an elementwise function or a reduction, compiled by XLA inside a TensorFlow graph."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=True)


def double_precision():
    """Returns a context in which float64 is float64: JAX makes it float32 unless told not to."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.enable_x64(True)
    return contextlib.nullcontext()


def sparse_pattern(rows, columns, shape):
    """Returns the tensors that `sparse_times` and `sampled_products` need.

    Args:
        rows: int array, the row of each stored entry, ascending.
        columns: int array, its column.
        shape: pair of ints, the matrix's rows and columns.
    """
    rows, columns = rows.astype("int32"), columns.astype("int32")
    pattern = {"rows": ops.convert_to_tensor(rows), "columns": ops.convert_to_tensor(columns)}
    starts = np.searchsorted(rows, np.arange(shape[0] + 1)).astype("int32")
    if keras.backend.backend() == "tensorflow":
        pattern["blocks"] = _row_blocks(rows, columns, shape, starts)
    else:
        pattern["starts"] = ops.convert_to_tensor(starts)
    return pattern


def _row_blocks(rows, columns, shape, starts):
    """Returns blocks of rows with about equally many entries, one for each core.

    TensorFlow's product of a sparse and a dense matrix runs on one core; the blocks' products run
    at the same time.
    """
    count = max(1, min(os.cpu_count() or 1, 16, rows.size // 4096))
    cuts = np.searchsorted(starts, rows.size * np.arange(1, count) // count)
    edges = np.unique([0, *cuts, shape[0]])
    blocks = []
    for low, high in itertools.pairwise(edges):
        entries = slice(starts[low], starts[high])
        indices = np.stack([rows[entries] - low, columns[entries]], axis=1)
        blocks.append(
            {
                "indices": ops.convert_to_tensor(indices.reshape(-1, 2), dtype="int32"),
                "shape": ops.convert_to_tensor(np.array([high - low, shape[1]]), dtype="int64"),
                "entries": ops.convert_to_tensor([starts[low], starts[high]], dtype="int32"),
            }
        )
    return blocks


def sparse_times(pattern, values, dense):
    """Returns the product of a sparse matrix (rows, columns) and a dense one (columns, r)."""
    name = keras.backend.backend()
    if name == "torch":
        import torch

        shape = (pattern["starts"].shape[0] - 1, dense.shape[0])
        matrix = torch.sparse_csr_tensor(
            pattern["starts"], pattern["columns"], values, shape, check_invariants=False
        )
        return matrix @ dense
    if name == "jax":
        import jax

        return jax.ops.segment_sum(
            values[:, None] * dense[pattern["columns"]],
            pattern["rows"],
            pattern["starts"].shape[0] - 1,
            indices_are_sorted=True,
        )
    import tensorflow as tf

    # The kernel takes ten times as long an entry where the dense matrix has 32 columns or more.
    pieces = -(-(dense.shape[1] or 1) // MOST_COLUMNS)
    parts = tf.split(dense, _shares(dense.shape[1], pieces), axis=1) if pieces > 1 else [dense]
    products = []
    for block in pattern["blocks"]:
        begin, end = tf.unstack(block["entries"], num=2)
        some = [
            tf.raw_ops.SparseTensorDenseMatMul(
                a_indices=block["indices"],
                a_values=values[begin:end],
                a_shape=block["shape"],
                b=part,
                adjoint_a=False,
                adjoint_b=False,
            )
            for part in parts
        ]
        products.append(some[0] if len(some) == 1 else tf.concat(some, 1))
    return products[0] if len(products) == 1 else tf.concat(products, 0)


def _shares(whole, pieces):
    """Returns `pieces` ints of about the same size whose sum is `whole`."""
    return [(whole + piece) // pieces for piece in range(pieces)]
