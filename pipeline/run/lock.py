"""The run lock: one run at a time writes into a pipeline root."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class LockedError(Exception):
    """Another run holds the root.

    Args:
        path: the lock's file.
        holder: what the holder wrote there: `pid`, `host`, `run_id`, `started`.
    """

    def __init__(self, path: str, holder: dict[str, Any]):
        self.holder = holder
        who = ", ".join(
            f"{label} {holder[name]}"
            for name, label in (("pid", "pid"), ("host", "on"), ("started", "since"))
            if name in holder
        )
        run = f"run {holder['run_id']}" if holder.get("run_id") else "another run"
        super().__init__(
            f"{run} holds this root ({who}). Wait for it, end it with `kill {holder.get('pid')}`, "
            f"or choose another --root. Received: {os.path.dirname(path)}"
        )


@contextmanager
def hold(path: str, run_id: str) -> Iterator[None]:
    """Holds a file's `flock` while a run writes.

    The system frees the lock when its holder ends, also by SIGKILL, so that a lock file that lies
    there means nothing by itself.

    ```python
    with hold("/data/root/lock", "20261122-0443-7f3a"):
        ...
    ```

    Args:
        path: string. The lock's file.
        run_id: string. Who holds it, for messages.

    Raises:
        LockedError: on entering, another process holds it.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(path, _read_holder(path)) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "run_id": run_id,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())
        yield
    finally:
        os.close(descriptor)


def _read_holder(path: str) -> dict[str, Any]:
    """Returns what a lock's holder wrote into it; empty if that cannot be read."""
    try:
        with open(path, encoding="utf-8") as reader:
            holder = json.load(reader)
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def holder(path: str) -> dict[str, Any] | None:
    """Returns who holds a lock now, or `None` if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(path)
    finally:
        os.close(descriptor)
    return None
