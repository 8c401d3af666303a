"""Aliases for annotations, all of them in one place."""

from typing import Any

Tensor = Any
"""A tensor of the backend, symbolic or not, or an array that `keras.ops` takes in its place."""

Shape = tuple[int | None, ...]
"""A shape; None for a dimension that is not known."""

Identifier = Any
"""What `keras.initializers.get` and its like take: a name, a configuration or an object."""

Matrix = Any
"""A matrix as an array, a tensor, a `scipy.sparse` matrix or a `tf.sparse.SparseTensor`."""
