"""What both experiments share of their training."""

from __future__ import annotations


def steps_per_execution(record_every: int, most: int) -> int:
    """Returns how many steps one call of the graph makes: a divisor of `record_every`.

    Keras rounds an epoch up to whole calls.
    """
    return next(count for count in range(most, 0, -1) if record_every % count == 0)
