"""Alternating closed-form updates of biases and non-negative factors over observed ratings.

Hierarchical alternating least squares (Cichocki, Phan 2009: Fast local algorithms for large scale
nonnegative matrix and tensor factorizations, IEICE Transactions E92-A) with sums over observed
ratings only, as in Yu, Hsieh, Si, Dhillon 2012: Scalable coordinate descent approaches to
parallel matrix factorization for recommender systems, ICDM. Several factorizations, the members,
advance together: they are the last axis of every array.
"""

from keras import ops

from ...types import Tensor


def counts(ids: Tensor, weights: Tensor, size: int) -> Tensor:
    """Returns the summed weights (size,) of the ratings (N,) of each user, or of each item."""
    return ops.segment_sum(weights, ids, size)


def residuals(state: dict[str, Tensor], users: Tensor, items: Tensor, ratings: Tensor) -> Tensor:
    """Returns ratings minus predictions, (N, members).

    Args:
        state: dict of `mean` (), `user_biases` (U, members), `item_biases` (I, members),
            `user_factors` (rank, U, members) and `item_factors` (rank, I, members).
        users, items: int tensors (N,).
        ratings: tensor (N,).
    """
    start = ops.expand_dims(ratings - state["mean"], 1)
    start = start - ops.take(state["user_biases"], users, axis=0)
    start = start - ops.take(state["item_biases"], items, axis=0)

    def less_factor(k, residual):
        left = ops.take(ops.take(state["user_factors"], k, axis=0), users, axis=0)
        right = ops.take(ops.take(state["item_factors"], k, axis=0), items, axis=0)
        return residual - left * right

    return ops.fori_loop(0, state["user_factors"].shape[0], less_factor, start)


def penalties(
    state: dict[str, Tensor], user_penalty: Tensor, item_penalty: Tensor, bias_penalty: float
) -> Tensor:
    """Returns the penalty terms of the objective, (members,).

    Args:
        state: as for `residuals`.
        user_penalty, item_penalty: tensors (U,) and (I,), the weight of a squared factor.
        bias_penalty: float, the weight of a squared bias.
    """
    total: Tensor = 0.0
    for side, penalty in (("user", user_penalty), ("item", item_penalty)):
        squares = ops.sum(ops.square(state[f"{side}_factors"]), axis=0)
        total = total + ops.sum(ops.expand_dims(penalty, 1) * squares, axis=0)
        total = total + bias_penalty * ops.sum(ops.square(state[f"{side}_biases"]), axis=0)
    return total


def sweeps(
    state: dict[str, Tensor],
    users: Tensor,
    items: Tensor,
    ratings: Tensor,
    weights: Tensor,
    penalty: float | Tensor,
    exponent: float | Tensor,
    bias_penalty: float | Tensor,
    count: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """Runs sweeps of updates, each the exact minimiser of the objective in one block.

    A sweep sets the users' biases, the items' biases, then for k = 1 … rank factor k of all users
    and factor k of all items. The objective

        Σ wₙ (rₙ − μ − b_u − c_i − w_u·h_i)² + λ Σ_u n_u^p ‖w_u‖² + λ Σ_i n_i^p ‖h_i‖²
            + κ (Σ b_u² + Σ c_i²),   w, h ≥ 0

    never rises. A user or an item without ratings gets zeros.

    Args:
        state: as for `residuals`.
        users, items: int tensors (N,), each a valid row of the state.
        ratings, weights: tensors (N,).
        penalty: float or scalar tensor, λ.
        exponent: float or scalar tensor, p; n_u and n_i are sums of weights.
        bias_penalty: float or scalar tensor, κ.
        count: int, sweeps.

    Returns:
        The new state, and the objective (members,) after the last sweep.
    """
    sides = {
        "user": (users, state["user_biases"].shape[0]),
        "item": (items, state["item_biases"].shape[0]),
    }
    totals = {side: counts(ids, weights, size) for side, (ids, size) in sides.items()}
    factor_penalties = {
        side: ops.where(total > 0, penalty * ops.power(ops.maximum(total, 1e-30), exponent), 0.0)
        for side, total in totals.items()
    }
    weights = ops.expand_dims(weights, 1)

    def update_biases(side, residual, biases):
        ids, size = sides[side]
        total = ops.expand_dims(totals[side], 1)
        sums = ops.segment_sum(weights * residual, ids, size)
        new = quotient(
            sums + total * biases, total + bias_penalty * ops.cast(total > 0, sums.dtype)
        )
        return residual - ops.take(new - biases, ids, axis=0), new

    def update_factor(side, residual, own, opposite):
        ids, size = sides[side]
        weighted = weights * opposite
        sums = ops.segment_sum(
            ops.concatenate([weighted * residual, weighted * opposite], axis=1), ids, size
        )
        slopes, curvatures = ops.split(sums, 2, axis=1)
        new = quotient(
            slopes + curvatures * own, curvatures + ops.expand_dims(factor_penalties[side], 1)
        )
        new = ops.maximum(new, 0.0)
        return residual - ops.take(new - own, ids, axis=0) * opposite, new

    def update_factors(k, carry):
        residual, user_factors, item_factors = carry
        left = ops.take(user_factors, k, axis=0)
        right = ops.take(item_factors, k, axis=0)
        residual, left = update_factor("user", residual, left, ops.take(right, items, axis=0))
        residual, right = update_factor("item", residual, right, ops.take(left, users, axis=0))
        return residual, replace_row(user_factors, k, left), replace_row(item_factors, k, right)

    def sweep(_, carry):
        residual, user_biases, item_biases, user_factors, item_factors = carry
        residual, user_biases = update_biases("user", residual, user_biases)
        residual, item_biases = update_biases("item", residual, item_biases)
        residual, user_factors, item_factors = ops.fori_loop(
            0, user_factors.shape[0], update_factors, (residual, user_factors, item_factors)
        )
        return residual, user_biases, item_biases, user_factors, item_factors

    names = ("user_biases", "item_biases", "user_factors", "item_factors")
    start = (residuals(state, users, items, ratings), *(state[name] for name in names))
    residual, *arrays = ops.fori_loop(0, count, sweep, start)
    new = {"mean": state["mean"], **dict(zip(names, arrays, strict=True))}
    objective = ops.sum(weights * ops.square(residual), axis=0) + penalties(
        new, factor_penalties["user"], factor_penalties["item"], bias_penalty
    )
    return new, objective


def fold_in(
    item_factors: Tensor,
    targets: Tensor,
    weights: Tensor,
    penalty: float | Tensor,
    exponent: float | Tensor,
    bias_penalty: float,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Solves the objective of `sweeps` for users' biases and factors, with the items held fixed.

    Coordinate descent on the normal equations; the problem is strictly convex.

    Args:
        item_factors: tensor (B, L, members, rank), the factors of each user's rated items.
        targets: tensor (B, L, members), ratings minus the mean and the items' biases.
        weights: tensor (B, L), zero for padding.
        penalty, exponent, bias_penalty: floats, as for `sweeps`.
        count: int, sweeps over all coordinates.

    Returns:
        Biases (B, members) and factors (B, members, rank); zeros where all weights are zero.
    """
    rank = item_factors.shape[-1]
    total = ops.sum(weights, axis=1)
    ones = ops.ones_like(item_factors[..., :1])
    design = ops.transpose(ops.concatenate([ones, item_factors], axis=-1), (0, 2, 3, 1))
    weighted = design * weights[:, None, None, :]
    products = ops.transpose(
        ops.matmul(weighted, ops.transpose(design, (0, 1, 3, 2))), (2, 3, 0, 1)
    )
    slopes = ops.matmul(weighted, ops.expand_dims(ops.transpose(targets, (0, 2, 1)), -1))
    slopes = ops.transpose(slopes[..., 0], (2, 0, 1))
    on_factor = penalty * ops.power(ops.maximum(total, 1e-30), exponent)
    on_bias = ops.full_like(total, bias_penalty)
    seen = ops.cast(total > 0, total.dtype)
    coordinates = ops.reshape(ops.arange(rank + 1, dtype="int32"), (-1, 1, 1))

    def update(step, values):
        k = step % (rank + 1)
        row = ops.take(products, k, axis=0)
        own = ops.take(values, k, axis=0)
        curvature = ops.take(row, k, axis=0)
        slope = ops.take(slopes, k, axis=0) - ops.sum(row * values, axis=0) + curvature * own
        extra = seen * ops.where(k > 0, on_factor, on_bias)
        new = quotient(slope, curvature + ops.expand_dims(extra, 1))
        new = ops.where(k > 0, ops.maximum(new, 0.0), new)
        return ops.where(coordinates == k, new, values)

    values = ops.fori_loop(0, count * (rank + 1), update, ops.zeros_like(slopes))
    return values[0], ops.transpose(values[1:], (1, 2, 0))


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Returns the quotient, zero where the denominator is zero."""
    positive = denominator > 0
    return ops.where(positive, numerator / ops.where(positive, denominator, 1.0), 0.0)


def replace_row(array: Tensor, k: Tensor, row: Tensor) -> Tensor:
    """Returns the array with row k replaced."""
    index = ops.reshape(ops.cast(k, "int32"), (1, 1))
    return ops.scatter_update(array, index, ops.expand_dims(row, 0))
