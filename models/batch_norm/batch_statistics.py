"""Mean and variance of each channel of a batch, over the values that a mask keeps.

Here `B` is the batch, `C` the channels, `G` the groups of a ghost batch normalization (1 without).
"""

import math
from typing import Any, NamedTuple

from keras import ops

from .. import backend
from ..types import Tensor


class ChannelView(NamedTuple):
    """A batch laid out for its reductions.

    Args:
        values: the values; the first axis is that of the groups, where there are groups.
        axes: the axes to reduce.
        channel_shape: ones and a -1: the shape in which a vector `(C,)` broadcasts to `values`.
    """

    values: Any
    axes: list
    channel_shape: tuple


class BatchStatistics(NamedTuple):
    """The statistics of a batch, each of which broadcasts to the values.

    Args:
        count: `m`, the values per channel: a Python int where the shape is static, else a float
            tensor.
        mean: `μ_B`.
        variance: `σ²_B`, biased: the sum of squares over `m`.
    """

    count: Any
    mean: Any
    variance: Any


def channel_view(tensor: Tensor, axis: int, group_size: int | None = None) -> ChannelView:
    """Returns a `ChannelView`; `axis` from 0. Each group has `group_size` examples.

    Where the channels come last, the other axes become one, because XLA's CPU compiler reduces one
    axis more than twice as fast as three.
    """
    shape = ops.shape(tensor)
    rank = len(shape)
    if axis == rank - 1:
        if group_size is not None:
            group = group_size * math.prod(shape[1:-1])
            return ChannelView(ops.reshape(tensor, (-1, group, shape[-1])), [1], (1, 1, -1))
        if rank > 2:
            tensor = ops.reshape(tensor, (-1, shape[-1]))
        return ChannelView(tensor, [0] if rank > 1 else [], (1, -1) if rank > 1 else (-1,))
    axes = [k for k in range(rank) if k != axis]
    channel_shape = tuple(-1 if k == axis else 1 for k in range(rank))
    if group_size is not None:
        tensor = ops.reshape(tensor, (-1, group_size, *shape[1:]))
        axes = [k + 1 for k in axes]
        channel_shape = (1, *channel_shape)
    return ChannelView(tensor, axes, channel_shape)


def broadcast_mask(mask: Tensor, inputs: Tensor, axis: int) -> Tensor:
    """Broadcasts a mask to the inputs, except for a channel axis of size 1.

    Its axes are the first axes of the inputs, or all of them.
    """
    rank = len(inputs.shape)
    sizes = zip(mask.shape, inputs.shape, strict=False)
    if len(mask.shape) > rank or any(
        size not in (1, None, expected) for size, expected in sizes if expected is not None
    ):
        raise ValueError(
            "`mask` must have the first axes of the inputs, such as (batch, time), or broadcast "
            f"to all of them. Received: mask.shape={tuple(mask.shape)}, "
            f"inputs.shape={tuple(inputs.shape)}"
        )
    missing = rank - len(mask.shape)
    mask = ops.cast(ops.reshape(mask, (*ops.shape(mask), *[1] * missing)), "bool")
    shape = list(ops.shape(inputs))
    shape[axis] = mask.shape[axis]
    return ops.broadcast_to(mask, shape)


def batch_statistics(
    view: ChannelView, mask: Tensor | None, synchronized: bool = False
) -> BatchStatistics:
    """Returns the `BatchStatistics` of a view, over two passes.

    `E[(x − k)²] − (E[x] − k)²` is the variance for any constant `k`. Here `k` is the mean without
    its gradient: then nothing cancels, and gradients of every order are right, the first for less.

    Args:
        view: the values, float.
        mask: bool, the values of a view, or `None`; False excludes a value.
        synchronized: whether to compute the statistics over all replicas.
    """
    values, axes = view.values, view.axes
    zero = ops.zeros((), dtype=values.dtype)
    if mask is None:
        count = math.prod(ops.shape(values)[axis] for axis in axes)
        total = ops.sum(values, axes, keepdims=True)
    else:
        count = ops.sum(ops.cast(mask, values.dtype), axes, keepdims=True)
        total = ops.sum(ops.where(mask, values, zero), axes, keepdims=True)
    if synchronized:
        count, total = backend.sum_over_replicas([ops.cast(count, values.dtype), total])
    static = isinstance(count, int)
    divisor = max(count, 1) if static else ops.maximum(ops.cast(count, values.dtype), 1)
    mean = total / divisor
    origin = ops.stop_gradient(mean)
    centered = values - origin
    counted = centered if mask is None else ops.where(mask, centered, zero)
    squares = ops.sum(ops.square(counted), axes, keepdims=True)
    if synchronized:
        (squares,) = backend.sum_over_replicas([squares])
    variance = squares / divisor - ops.square(mean - origin)
    return BatchStatistics(count if static else ops.cast(count, values.dtype), mean, variance)
