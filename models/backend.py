"""What `keras.ops` lacks, one function each for all backends.

Compiled functions, float64 in JAX, products with sparse matrices, sums over replicas, and what the
compiled steps of a `fit` hold.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from .types import Tensor

MOST_COLUMNS = 24


def compiled(function: Callable[..., Any], any_shape: bool = False) -> Callable[..., Any]:
    """Returns a function of nested tensors, compiled as one graph where the backend compiles.

    TensorFlow: a graph of TensorFlow's own kernels, whose matrix products are faster than those of
    XLA on a CPU; inside it, `fused` compiles by XLA what gains from it. One graph per shape, or one
    for all with `any_shape`. JAX: `jit`. PyTorch: the function itself, without gradients.
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
def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an elementwise function or a reduction, compiled by XLA inside a TensorFlow graph."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=True)


def double_precision() -> contextlib.AbstractContextManager:
    """Returns a context in which float64 is float64: by default JAX makes it float32."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.enable_x64(True)
    return contextlib.nullcontext()


def divide_no_nan(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Returns the quotient, 0 where the denominator is 0, in float64 on PyTorch too."""
    if keras.backend.backend() == "tensorflow":
        return ops.divide_no_nan(numerator, denominator)
    zero = denominator == 0
    return ops.where(zero, 0, numerator / ops.where(zero, 1, denominator))


def sparse_pattern(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], places: bool = True
) -> dict[str, Any]:
    """Returns the tensors that `sparse_times` and products at the stored places need.

    Args:
        rows: int array, the row of each stored entry, ascending.
        columns: int array, its column.
        shape: pair of ints, the matrix's rows and columns.
        places: whether to include the entries' rows and columns. Defaults to True.
    """
    rows, columns = rows.astype("int32", copy=False), columns.astype("int32", copy=False)
    tensorflow = keras.backend.backend() == "tensorflow"
    pattern = {}
    if places or not tensorflow:
        pattern["rows"] = ops.convert_to_tensor(rows)
        pattern["columns"] = ops.convert_to_tensor(columns)
    starts = np.zeros(shape[0] + 1, dtype="int32")
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=starts[1:])
    if tensorflow:
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
        indices = np.empty((starts[high] - starts[low], 2), dtype="int32")
        np.subtract(rows[entries], low, out=indices[:, 0])
        indices[:, 1] = columns[entries]
        blocks.append(
            {
                "indices": ops.convert_to_tensor(indices),
                "shape": ops.convert_to_tensor(np.array([high - low, shape[1]]), dtype="int64"),
                "entries": ops.convert_to_tensor([starts[low], starts[high]], dtype="int32"),
            }
        )
    return blocks


def sparse_times(
    pattern: dict[str, Any],
    values: Tensor,
    dense: Tensor,
    then: Callable[[Tensor, Tensor], Tensor] | None = None,
    beside: Tensor | None = None,
) -> Tensor:
    """Returns the product of a sparse matrix (rows, columns) and a dense one (columns, r).

    Args:
        pattern: what `sparse_pattern` returned.
        values: tensor of the stored entries.
        dense: tensor (columns, r).
        then: function of rows of the product and of `beside`, whose result replaces the product.
            TensorFlow applies it to a block of rows at a time, each on a core.
        beside: tensor (rows, r).
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        products = _block_products(pattern["blocks"], values, dense)
        if then is None or beside is None:
            return ops.concatenate(products, axis=0)
        sizes = [block["shape"][0] for block in pattern["blocks"]]
        pairs = zip(products, _split(beside, sizes), strict=True)
        result = ops.concatenate([then(*pair) for pair in pairs], axis=0)
        return tf.ensure_shape(result, beside.shape)
    rows = pattern["starts"].shape[0] - 1
    if name == "torch":
        import torch

        matrix = torch.sparse_csr_tensor(
            pattern["starts"],
            pattern["columns"],
            values,
            (rows, dense.shape[0]),
            check_invariants=False,
        )
        product = matrix @ dense
    else:
        import jax

        product = jax.ops.segment_sum(
            values[:, None] * dense[pattern["columns"]],
            pattern["rows"],
            rows,
            indices_are_sorted=True,
        )
    return product if then is None else then(product, beside)


def _block_products(blocks, values, dense):
    """Returns TensorFlow's product for each block of rows."""
    import tensorflow as tf

    # The kernel takes ten times as long an entry where the dense matrix has 32 columns or more.
    parts = _split(dense, _shares(dense.shape[1] or 1, MOST_COLUMNS), axis=1)
    products = []
    for block in blocks:
        begin, end = tf.unstack(block["entries"], num=2)
        columns = [
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
        products.append(columns[0] if len(columns) == 1 else tf.concat(columns, 1))
    return products


def _split(tensor, sizes, axis=0):
    """Splits a tensor of TensorFlow into a list of parts, one per size."""
    import tensorflow as tf

    return tf.split(tensor, sizes, axis=axis) if len(sizes) > 1 else [tensor]


def _shares(whole, most):
    """Returns integers of about equal size, none above `most`, whose sum is `whole`."""
    pieces = -(-whole // most)
    return [(whole + piece) // pieces for piece in range(pieces)]


def sum_over_replicas(tensors: list[Tensor]) -> list[Tensor]:
    """Returns the tensors, each summed over the replicas that run this step.

    TensorFlow: an all-reduce in the replica context of `tf.distribute`. JAX: the tensors as they
    are, because a jitted step sees the whole batch, however it is sharded.
    """
    if keras.backend.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return [context.all_reduce(tf.distribute.ReduceOp.SUM, tensor) for tensor in tensors]


def trace(function: Callable[..., Any], *arguments: Any) -> None:
    """Runs the Python code of a function once, without computing where the backend can trace."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        tf.function(function).get_concrete_function(*arguments)
    elif name == "jax":
        import jax

        jax.eval_shape(function, *arguments)
    else:
        import torch

        with torch.no_grad():
            function(*arguments)


def synchronize_weights(model: keras.Model) -> None:
    """Copies the weights of a running `fit` into the model, where the backend holds them apart."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def trace_steps_anew(model: keras.Model) -> None:
    """Lets the compiled steps of a `fit` see the change of a variable outside the model.

    Only JAX needs it: its compiled steps hold such a variable as a constant.
    """
    if keras.backend.backend() == "jax" and model.jit_compile:
        model.make_train_function(force=True)
        model.make_test_function(force=True)
