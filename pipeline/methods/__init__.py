"""The methods by name: a package each, imported when the method is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .method import Method

_METHODS = {
    "babi": "memory_network",
    "batch-norm": "batch_norm.sigmoid",
    "batch-norm-inception": "batch_norm.inception",
    "facenet": "facenet",
    "nmf": "factorization.ratings",
    "nmf-parts": "factorization.parts",
}
"""Package of each method, below this one; it has `METHOD`."""


def names() -> list[str]:
    """Returns the methods' names in the order of the list.

    ```python
    >>> "babi" in names()
    True
    ```
    """
    return list(_METHODS)


def find(name: str) -> Method:
    """Returns a method.

    Args:
        name: as on the command line.

    Raises:
        ValueError: there is no such method.
    """
    if name not in _METHODS:
        from ...components.base.suggestions import did_you_mean

        raise ValueError(
            f"There is no method {name!r}{did_you_mean(name, _METHODS)} "
            f"Known: {', '.join(_METHODS)}. Received: {name!r}"
        )
    return importlib.import_module(f".{_METHODS[name]}", __name__).METHOD


def find_if_registered(name: str) -> Method | None:
    """Returns a method, `None` if there is none of that name: runs outlive their methods."""
    return find(name) if name in _METHODS else None
