"""Checks of arguments that several methods share."""

import numbers
from typing import Any


def is_integer(value: Any) -> bool:
    """Returns whether a value is an integer of Python or NumPy."""
    return isinstance(value, numbers.Integral)


def is_real(value: Any) -> bool:
    """Returns whether a value is a real number of Python or NumPy."""
    return isinstance(value, numbers.Real)


def positive_integer(name: str, value: Any) -> int:
    """Returns the value of an argument as an `int`.

    Raises:
        ValueError: the value is not a positive integer.
    """
    if not is_integer(value) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    return int(value)
