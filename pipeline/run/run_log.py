"""The log of a run: what libraries say goes to a file, their errors to the screen as well."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from collections.abc import Callable

_STDERR = logging.StreamHandler()
_STDERR.setLevel(logging.ERROR)
_STDERR.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def errors_to_stderr() -> None:
    """Lets errors that libraries log reach stderr, and nothing below, until a `RunLog` takes over.

    Without a handler, the first library that warns would install one for everything.
    """
    logging.getLogger().addHandler(_STDERR)


class RunLog:
    """While the context lasts, Python's logging and warnings go to a file.

    Args:
        path: string. The log file; its folder is made.
        show: called with each message of level ERROR or higher.
        capture_stderr: boolean. Sends what native code and child processes write to stderr to the
            file as well. The traceback of a native crash still reaches stderr.
    """

    def __init__(self, path: str, show: Callable[[str], None], capture_stderr: bool = False):
        self.path = path
        self._capture, self._stderr = capture_stderr, -1
        self._show = show
        self._handlers: list[logging.Handler] = []
        self._level = logging.WARNING
        self._on_stderr = False

    def __enter__(self) -> RunLog:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        to_file = logging.FileHandler(self.path, encoding="utf-8", delay=True)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        to_screen = _Shown(self._show)
        self._handlers = [to_file, to_screen]
        logger = logging.getLogger()
        self._on_stderr = _STDERR in logger.handlers
        logger.removeHandler(_STDERR)
        self._level = logger.level
        logger.setLevel(logging.INFO)
        for handler in self._handlers:
            logger.addHandler(handler)
        logging.captureWarnings(True)
        if self._capture:
            sys.stderr.flush()
            self._stderr = os.dup(2)
            target = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(target, 2)
            os.close(target)
            faulthandler.enable(self._stderr)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._capture:
            faulthandler.disable()
            sys.stderr.flush()
            os.dup2(self._stderr, 2)
            os.close(self._stderr)
        logging.captureWarnings(False)
        logger = logging.getLogger()
        for handler in self._handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(self._level)
        if self._on_stderr:
            logger.addHandler(_STDERR)


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[str], None]):
        super().__init__(logging.ERROR)
        self._show_message = show

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != __name__:
            self._show_message(f"{record.name}: {record.getMessage()}")


def log_exception(error: BaseException) -> None:
    """Writes an error with its whole traceback into the log, and not on the screen."""
    logging.getLogger(__name__).error("The run ended.", exc_info=error)
