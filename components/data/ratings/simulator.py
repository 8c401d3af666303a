"""Draws ratings from a low-rank model whose non-negative factors are known.

The true ratings are V = W H. A row of W says how much of each of r tastes a user has; its sum,
about one, is how generous the user is. A row of H says how a taste rates each item, between the
smallest and the largest rating. What is observed is V plus normal noise, rounded and clipped, for
some of the items: a user has rated few or many of them, more often popular ones, and more often
those that are to the user's taste.

Dimensions: U users, I items, r rank.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from .options import SimulatorOptions

USERS_PER_BLOCK = 250
"""Users are drawn in blocks of this size, each from a seed of its own: blocks can be made apart."""

_FIRST_SECOND = 1_600_000_000
_SECONDS = 100_000_000
_FEWEST = 20
_TASTES, _ITEMS, _COUNTS, _USERS, _RATINGS = range(5)


@dataclasses.dataclass(frozen=True)
class SimulatedUser:
    """The ratings of one user, in order of time.

    Args:
        user: index of the user.
        items: int64 array `(L,)`, indices of the rated items, each once.
        ratings: float64 array `(L,)`.
        timestamps: int64 array `(L,)`, seconds.
    """

    user: int
    items: np.ndarray
    ratings: np.ndarray
    timestamps: np.ndarray


def factors(parameters: SimulatorOptions) -> tuple[np.ndarray, np.ndarray]:
    """Returns W `(U, r)` and H `(r, I)`, float64, not negative: W H are the true ratings."""
    blocks = range(-(-parameters.users // USERS_PER_BLOCK))
    return np.concatenate([_user_factors(parameters, block) for block in blocks]), _item_factors(
        parameters
    )


def simulate_block(parameters: SimulatorOptions, block: int) -> Iterator[SimulatedUser]:
    """Yields the users of one block.

    Args:
        parameters: `SimulatorOptions`.
        block: integer. Users from `block * USERS_PER_BLOCK` on.
    """
    first = block * USERS_PER_BLOCK
    seed, items = parameters.seed, parameters.items
    counts = _counts(seed, parameters.users, items, parameters.ratings)
    counts = counts[first : first + USERS_PER_BLOCK]
    random = _random(seed, _RATINGS, block)
    weights, tastes = _user_factors(parameters, block), _item_factors(parameters)
    # Gumbel's trick: the largest sums of log weight and Gumbel noise are a draw without
    # replacement in proportion to the weights.
    true = weights @ tastes
    keys = random.gumbel(size=true.shape) + _log_popularity(seed, items, parameters.skew)
    keys += parameters.affinity * true
    most = int(counts.max())
    if most < items:
        drawn = np.argpartition(-keys, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(keys, drawn, axis=1), axis=1)
        drawn = np.take_along_axis(drawn, order, axis=1)
    else:
        drawn = np.argsort(-keys, axis=1)
    noise = random.normal(0.0, parameters.noise, drawn.shape)
    seconds = np.sort(random.integers(0, _SECONDS, drawn.shape), axis=1) + _FIRST_SECOND
    for index, count in enumerate(counts):
        rated = random.permutation(drawn[index, :count])
        yield SimulatedUser(
            user=first + index,
            items=rated,
            ratings=_observed(parameters, true[index, rated] + noise[index, :count]),
            timestamps=seconds[index, :count],
        )


def _observed(parameters: SimulatorOptions, ratings: np.ndarray) -> np.ndarray:
    if parameters.step:
        steps = np.rint((ratings - parameters.min_rating) / parameters.step)
        ratings = parameters.min_rating + steps * parameters.step
    return np.clip(ratings, parameters.min_rating, parameters.max_rating)


def _user_factors(parameters: SimulatorOptions, block: int) -> np.ndarray:
    size = min(USERS_PER_BLOCK, parameters.users - block * USERS_PER_BLOCK)
    random = _random(parameters.seed, _USERS, block)
    generosity = random.lognormal(0.0, 0.1, (size, 1))
    return generosity * random.dirichlet(np.full(parameters.rank, 0.4), size)


def _item_factors(parameters: SimulatorOptions) -> np.ndarray:
    share = _item_shares(parameters.seed, parameters.rank, parameters.items)
    return parameters.min_rating + (parameters.max_rating - parameters.min_rating) * share


@functools.lru_cache(maxsize=4)
def _item_shares(seed: int, rank: int, items: int) -> np.ndarray:
    random = _random(seed, _TASTES)
    quality = random.beta(8.0, 5.0, items)
    return random.beta(3.0 * quality, 3.0 * (1 - quality), (rank, items))


@functools.lru_cache(maxsize=4)
def _log_popularity(seed: int, items: int, skew: float) -> np.ndarray:
    random = _random(seed, _ITEMS)
    # Zipf's law bent at its head, as popularity is in real catalogues.
    return -skew * np.log(random.permutation(items) + items / 50)


@functools.lru_cache(maxsize=4)
def _counts(seed: int, users: int, items: int, ratings: int) -> np.ndarray:
    """Returns how many ratings each user gives: log-normal, from few up to all items."""
    share = _random(seed, _COUNTS).lognormal(0.0, 0.9, users)
    counts = np.full(users, min(_FEWEST, ratings // users))
    left = ratings - int(counts.sum())
    while left:
        part = np.where(counts < items, share, 0.0)
        more = np.floor(left * part / part.sum()).astype(np.int64)
        if not more.any():
            # Less than one a user is left.
            more[np.argsort(-part, kind="stable")[: min(left, np.count_nonzero(part))]] = 1
        more = np.minimum(more, items - counts)
        counts += more
        left -= int(more.sum())
    return counts


def _random(seed: int, *purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, *purpose])
