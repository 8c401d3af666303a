"""The order in which people count: `task 2` before `task 10`."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"\d+")


def natural_key(text: str) -> str:
    """Returns a sort key in which numbers (of up to 20 digits) compare by value."""
    return _DIGITS.sub(lambda number: number.group().zfill(20), text)
