"""How a run can end, and what is said then."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import sysconfig
import threading
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...components.base.errors import BadDataError
from ..metadata.database import MetadataError
from .lock import LockedError

OK, CRASH, USAGE, BAD_DATA, NOT_BLESSED, NOT_INFRA_BLESSED, LOCKED = range(7)
STOP_CODES = {
    "bad_data": BAD_DATA,
    "not_blessed": NOT_BLESSED,
    "not_infra_blessed": NOT_INFRA_BLESSED,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXTS = ("no space left on device", "disk is full", "disk quota exceeded")
_LIBRARIES = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_PACKAGE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Interrupted(KeyboardInterrupt):
    """The run was ended by SIGINT (Ctrl-C) or SIGTERM.

    Args:
        number: the signal's number.
    """

    def __init__(self, number: int):
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 128 + self.number


class Signals:
    """Turns SIGINT and SIGTERM into `Interrupted` while the context lasts.

    Inside `held()` the signal waits until the end of that block: a publication is not torn.
    """

    def __init__(self) -> None:
        self._pending: int | None = None
        self._held = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        if self._held:
            self._pending = number
        else:
            raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets signals wait for the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            number, self._pending = self._pending, None
        if number is not None:
            raise Interrupted(number)


def after_stop(kind: str, command: str) -> str:
    """Returns the next step after a component stopped the run, by the kind of the stop."""
    step = {
        "bad_data": "Mend the data or the options; then",
        "not_blessed": "With other settings, as --set COMPONENT.PARAMETER=VALUE",
        "not_infra_blessed": "Mend what would not serve; then",
    }[kind]
    return f"{step}: {command or 'the same command again'}"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that a disk is full.

    TensorFlow and Beam workers pass on the message alone.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.errno in _FULL:
            return True
        text = str(current).lower()
        if isinstance(current, sqlite3.Error) and "disk i/o error" in text:
            return True
        if any(known in text for known in _FULL_TEXTS):
            return True
        current = current.__cause__ or current.__context__
    return False


def place(error: BaseException) -> str:
    """Returns where an error arose, outside of libraries: file, line and function."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _in_library(frame.filename)]
    frame = (own or frames)[-1] if frames else None
    if frame is None:
        return "unknown place"
    path = frame.filename.removeprefix(_PACKAGE_DIR + os.sep)
    return f"{path}:{frame.lineno} in {frame.name}"


def _in_library(path: str) -> bool:
    if path.startswith(_PACKAGE_DIR + os.sep):
        return "site-packages" in path[len(_PACKAGE_DIR) :]
    return path.startswith(_LIBRARIES) or path.startswith("<")


def explain(
    error: BaseException, component: str | None, root: str, command: str
) -> tuple[str, str, int]:
    """Says what ended a run.

    Args:
        error: what was raised.
        component: the stage in which it was raised.
        root: the pipeline root, whose disk may be full.
        command: the run's command line.

    Returns:
        The message, the next step, and the exit code.
    """
    stage = component or "the run"
    again = f"{command}  (the finished stages are cached)" if command else "the same command again"
    if isinstance(error, Interrupted):
        names: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
        name = names.get(error.number, str(error))
        return f"{stage} was interrupted by {name}.", f"To go on: {again}", error.exit_code
    if isinstance(error, LockedError):
        return str(error), f"When it has ended: {again}", LOCKED
    if isinstance(error, BadDataError):
        return str(error), f"Mend the data or the options; then: {again}", BAD_DATA
    if isinstance(error, MetadataError):
        return str(error), f"Mend the store; then: {again}", CRASH
    if is_disk_full(error):
        return (
            f"No space was left for {stage} on the disk of {root}: {_free(root)} free. "
            f"Nothing half-written was published. ({_line(error)})",
            f"Free some space, or choose a --root on another disk; then: {again}",
            CRASH,
        )
    return (
        f"{type(error).__name__} in {stage}: {error} ({place(error)})",
        f"Mend the cause; then: {again}",
        CRASH,
    )


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]


def _free(root: str) -> str:
    folder = root
    while folder and not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        free = shutil.disk_usage(folder or "/").free
    except OSError:
        return "an unknown number of bytes is"
    return f"{free / 1e6:,.1f} MB"
