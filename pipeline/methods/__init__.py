"""The methods by name: one entry and one file a method.

A method's file is imported when the method is asked for, so that the command line starts without
loading them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .method import Method


def _babi() -> Method:
    from .memory_network import METHOD

    return METHOD


def _batch_norm() -> Method:
    from .batch_norm import METHOD

    return METHOD


def _batch_norm_inception() -> Method:
    from .batch_norm.inception import METHOD

    return METHOD


def _nmf() -> Method:
    from .factorization.ratings import METHOD

    return METHOD


def _nmf_parts() -> Method:
    from .factorization.parts import METHOD

    return METHOD


def _facenet() -> Method:
    from .facenet import METHOD

    return METHOD


_METHODS: dict[str, Callable[[], Method]] = {
    "babi": _babi,
    "batch-norm": _batch_norm,
    "batch-norm-inception": _batch_norm_inception,
    "facenet": _facenet,
    "nmf": _nmf,
    "nmf-parts": _nmf_parts,
}


def names() -> list[str]:
    """Returns the methods' names in the order of the catalogue.

    ```python
    >>> "babi" in names()
    True
    ```
    """
    return list(_METHODS)


def find(name: str) -> Method:
    """Returns a method's entry.

    Args:
        name: as on the command line.

    Raises:
        ValueError: there is no such method.
    """
    if name not in _METHODS:
        from ...components.base.errors import did_you_mean

        raise ValueError(
            f"There is no method {name!r}{did_you_mean(name, _METHODS)} "
            f"Known: {', '.join(_METHODS)}. Received: {name!r}"
        )
    return _METHODS[name]()
