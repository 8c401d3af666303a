"""The compiled loop of `factorize`: iterations, losses and the monotonicity guard."""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from ... import backend
from .additive import additive_update, rescaling_learning_rate
from .multiplicative import multiplicative_update
from .observed import total

RUNNING, CONVERGED, REFUSED = 0, 1, 2


@functools.cache
def alternation(
    matrix_class: type,
    settings: tuple,
    loss: str,
    solver: str,
    rows_only: bool,
    evaluate_every: int,
    plain: bool,
) -> Callable[..., Any]:
    """Returns the compiled loop.

    Args:
        matrix_class: `DenseMatrix` or `SparseMatrix`.
        settings: its first argument.
        loss: `"euclidean"` or `"divergence"`.
        solver: `"multiplicative"`, `"hierarchical"` or `"additive"`.
        rows_only: whether only W moves.
        evaluate_every: int, iterations between two evaluations of the objective.
        plain: whether all penalties are 0.

    Returns:
        Function of V's tensors, W (n, r), G (m, r), a float64 buffer for the objectives, and the
        scalars iterations (int32), tolerance (float64), learning_rate (0 for the rescaling one),
        and penalties, a tensor (4,) of l1 for W and for H and l2 for W and for H. It returns W, G,
        the buffer, the number of iterations, and the status at the end.
    """

    def run(tensors, W, G, objectives, iterations, tolerance, learning_rate, penalties):
        matrix = matrix_class(settings, tensors)
        if plain:
            l1_W = l1_H = l2_W = l2_H = 0
        else:
            l1_W, l1_H, l2_W, l2_H = (penalties[place] for place in range(4))
        start = W, G
        size = ops.cast(ops.shape(W)[0] + ops.shape(G)[0], "float64")
        allowance = 4 * _epsilon(W.dtype) * ops.sqrt(size)

        by_steps = plain and solver == "multiplicative" and matrix.steps(loss)

        def moved(W, parts, l1, l2):
            numerator, denominator = parts
            if solver == "multiplicative":
                update = matrix.fuse(multiplicative_update)
                return update(W, numerator, denominator, l1, l2, loss)
            rate = rescaling_learning_rate(W, denominator, l1, l2)
            rate = ops.where(learning_rate > 0, learning_rate, rate)
            return additive_update(W, numerator, denominator, rate, l1, l2)

        def objective(W, G):
            numerator, denominator, (value, size) = matrix.row_parts(loss, W, G, True)
            if not plain:
                penalty = ops.cast(l1_W, "float64") * total(W)
                penalty = penalty + ops.cast(l1_H, "float64") * total(G)
                penalty = penalty + 0.5 * ops.cast(l2_W, "float64") * total(ops.square(W))
                penalty = penalty + 0.5 * ops.cast(l2_H, "float64") * total(ops.square(G))
                value, size = value + penalty, size + penalty
            return (numerator, denominator), value, allowance * size

        def iterate(W, G, parts):
            if solver == "hierarchical":
                W = matrix.row_sweep(W, G, parts[0], l1_W, l2_W)
            else:
                W = moved(W, parts, l1_W, l2_W)
            if rows_only:
                return W, G
            if by_steps:
                return W, matrix.column_step(W, G)
            parts = matrix.column_parts(loss, W, G)
            if solver == "hierarchical":
                return W, matrix.column_sweep(W, G, parts[0], l1_H, l2_H)
            return W, moved(G, parts, l1_H, l2_H)

        def unwatched(_, factors):
            if by_steps:
                W = matrix.row_step(*factors)
                return (W, factors[1]) if rows_only else (W, matrix.column_step(W, factors[1]))
            W, G = factors
            return iterate(W, G, matrix.row_parts(loss, W, G, False)[:2])

        def body(count, status, W, G, W_before, G_before, parts, value, objectives):
            new_W, new_G = iterate(W, G, parts)
            steps = 1
            if evaluate_every > 1:
                steps = ops.minimum(evaluate_every, iterations - count)
                new_W, new_G = ops.fori_loop(1, steps, unwatched, (new_W, new_G))
            parts, new_value, rounding = objective(new_W, new_G)
            falls = (new_value <= value + rounding) | (value == float("inf"))
            reference = ops.where(objectives[0] < float("inf"), objectives[0], value)
            slow = (tolerance >= 0) & (value - new_value <= tolerance * reference)
            status = ops.where(falls, ops.where(slow, CONVERGED, RUNNING), REFUSED)
            count = count + steps
            place = (count + evaluate_every - 1) // evaluate_every
            here = ops.arange(ops.shape(objectives)[0]) == place
            objectives = ops.where(here & falls, new_value, objectives)
            status = ops.cast(status, "int32")
            return count, status, new_W, new_G, W, G, parts, new_value, objectives

        def going(count, status, *_):
            return (count < iterations) & (status == RUNNING)

        parts, value, _ = objective(W, G)
        objectives = ops.where(ops.arange(ops.shape(objectives)[0]) == 0, value, objectives)
        zero = ops.zeros((), dtype="int32")
        state = (zero, zero, W, G, W, G, parts, value, objectives)
        count, status, W, G, W_before, G_before, _, _, objectives = ops.while_loop(
            going, body, state
        )
        if by_steps:
            W, G = _kept(W, G, start[0]), _kept(G, W, start[1])
        refused = status == REFUSED
        W, G = ops.where(refused, W_before, W), ops.where(refused, G_before, G)
        return W, G, objectives, count, status

    fuse = settings[-1]
    return backend.compiled(run, any_shape=not fuse)


def _kept(W, G, start):
    """Returns W, with its initial columns where those of G are 0, as nothing moves them."""
    return ops.where(ops.any(G > 0, axis=0), W, start)


def _epsilon(dtype):
    """Returns the distance from 1 to the next number."""
    return 2.0**-52 if "64" in str(dtype) else 2.0**-23
