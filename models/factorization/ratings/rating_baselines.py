"""Predictions of ratings without factors: the mean, biases of users and items, popularity."""

import numpy as np
from numpy.typing import ArrayLike

_ROUNDS = 1000
_TOLERANCE = 1e-10


def global_mean(ratings: ArrayLike) -> float:
    """Returns the mean of ratings (N,), a float; NaN without any."""
    ratings = np.asarray(ratings, "float64")
    return float(ratings.mean()) if ratings.size else float("nan")


def rating_biases(
    users: ArrayLike,
    items: ArrayLike,
    ratings: ArrayLike,
    num_users: int,
    num_items: int,
    user_penalty: float = 3.0,
    item_penalty: float = 3.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fits r_ui = μ + b_u + c_i by regularized least squares.

    The biases minimise Σ (r_ui − μ − b_u − c_i)² + κ Σ b_u² + κ' Σ c_i² with μ the mean rating
    (Koren 2010, Factor in the Neighbors, ACM TKDD 4(1), section 2.1), by exact alternating steps
    until they move by less than 1e-10.

    Args:
        users, items: int arrays (N,), indices from 0.
        ratings: float array (N,).
        num_users, num_items: ints.
        user_penalty, item_penalty: floats ≥ 0, κ and κ', in ratings.

    Returns:
        Float64 arrays (num_users,) and (num_items,); zero for users and items without ratings.

    Example:

    >>> rating_biases([0, 1], [0, 0], [5.0, 3.0], 2, 1, user_penalty=1.0, item_penalty=1.0)
    (array([ 0.5, -0.5]), array([0.]))
    """
    users, items = np.asarray(users, "int64"), np.asarray(items, "int64")
    deviations = np.asarray(ratings, "float64") - global_mean(ratings)
    user_counts = np.bincount(users, minlength=num_users)
    item_counts = np.bincount(items, minlength=num_items)
    user_divisors = np.where(user_counts > 0, user_counts + user_penalty, 1.0)
    item_divisors = np.where(item_counts > 0, item_counts + item_penalty, 1.0)
    user_biases, item_biases = np.zeros(num_users), np.zeros(num_items)
    for _ in range(_ROUNDS):
        sums = np.bincount(items, deviations - user_biases[users], num_items)
        item_biases = sums / item_divisors
        sums = np.bincount(users, deviations - item_biases[items], num_users)
        before, user_biases = user_biases, sums / user_divisors
        if np.max(np.abs(user_biases - before), initial=0.0) < _TOLERANCE:
            break
    return user_biases, item_biases


def item_popularity(items: ArrayLike, num_items: int) -> np.ndarray:
    """Returns the number of ratings of each item, int array (num_items,), from indices (N,)."""
    return np.bincount(np.asarray(items, "int64"), minlength=num_items)
