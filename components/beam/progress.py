"""How far a Beam pipeline is: what its steps tell, added up while it runs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

_progress: dict[str, Callable[[int], None]] = {}


def advance(token: str, count: int) -> None:
    """Tells how many further examples are done; without effect in another process."""
    progress = _progress.get(token)
    if progress is not None:
        progress(count)


class Progress:
    """Adds up what `advance` tells from any thread, for as long as a pipeline runs."""

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
