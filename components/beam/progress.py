"""The progress of a Beam pipeline: counts that its steps report, added up while it runs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Example = TypeVar("_Example")
_STEP = 1000

_progress: dict[str, Callable[[int], None]] = {}


def advance(token: str, count: int) -> None:
    """Reports further finished examples; without effect in another process."""
    progress = _progress.get(token)
    if progress is not None:
        progress(count)


def counted(examples: Iterable[_Example], token: str) -> Iterator[_Example]:
    """Yields examples and reports them as done, a thousand at a time."""
    count = 0
    for count, example in enumerate(examples, 1):
        yield example
        if count % _STEP == 0:
            advance(token, _STEP)
    advance(token, count % _STEP)


class Progress:
    """Adds up what `advance` reports from any thread while a pipeline runs."""

    def __init__(self, show: Callable[[int], None]):
        self._show = show
        self._token = uuid.uuid4().hex
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> str:
        _progress[self._token] = self._add
        return self._token

    def __exit__(self, *error: object) -> None:
        del _progress[self._token]

    def _add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._show(self._done)
