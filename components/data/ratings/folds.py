"""Chooses which ratings are test ratings, the same in every process and run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .options import FoldOptions

NEVER = -1
"""Fold of a rating that is a test rating in none."""


def assign_folds(
    parameters: FoldOptions, user: str, items: Sequence[str], timestamps: Sequence[int]
) -> list[int]:
    """Returns the fold of each rating of one user, as the options set it.

    Args:
        parameters: `FoldOptions` with `split_by` one of `folds` and `leave_one_out`.
        user: string. The user's id.
        items: strings. The ids of the rated items.
        timestamps: integers, one a rating, or empty.
    """
    if parameters.split_by == "leave_one_out":
        return leave_one_out(parameters.seed, user, items, timestamps)
    return hashed_folds(parameters.seed, user, items, parameters.folds)


def hashed_folds(seed: int, user: str, items: Sequence[str], folds: int) -> list[int]:
    """Returns folds from 0 to `folds` - 1: SHA-256 of seed, user and item modulo `folds`."""
    return [number % folds for number in _hashes(seed, user, items)]


def leave_one_out(
    seed: int, user: str, items: Sequence[str], timestamps: Sequence[int]
) -> list[int]:
    """Returns 0 for a user's last rating, -1 for the others.

    Without timestamps, and among equal ones, the largest hash of seed, user and item is the last.
    A user's only rating stays in training: without it nothing is known of the user.
    """
    folds = [NEVER] * len(items)
    if len(items) > 1:
        hashes = _hashes(seed, user, items)
        times = timestamps or [0] * len(items)
        folds[max(range(len(items)), key=lambda index: (times[index], hashes[index]))] = 0
    return folds


def _hashes(seed: int, user: str, items: Sequence[str]) -> list[int]:
    start = hashlib.sha256(f"{seed}/{user}/".encode())
    numbers = []
    for item in items:
        digest = start.copy()
        digest.update(item.encode())
        numbers.append(int.from_bytes(digest.digest()[:8], "big"))
    return numbers
