"""The log of a run: what libraries say goes to a file, their errors to the screen as well."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

_STDERR = logging.StreamHandler()
_STDERR.setLevel(logging.ERROR)
_STDERR.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def errors_to_stderr() -> None:
    """Lets errors that libraries log reach stderr, and nothing below, until `logged_to` takes over.

    Without a handler, the first library that warns would install one for everything.
    """
    logging.getLogger().addHandler(_STDERR)


@contextmanager
def logged_to(
    path: str, show: Callable[[str], None], capture_stderr: bool = False
) -> Iterator[None]:
    """Sends Python's logging and warnings to a file while the context lasts.

    Args:
        path: string. The log file; its folder is made.
        show: called with each message of level ERROR or higher.
        capture_stderr: boolean. Sends what native code and child processes write to stderr to the
            file as well. The traceback of a native crash still reaches stderr.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    to_file = logging.FileHandler(path, encoding="utf-8", delay=True)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers = [to_file, _Shown(show)]
    logger = logging.getLogger()
    level, on_stderr = logger.level, _STDERR in logger.handlers
    logger.removeHandler(_STDERR)
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    logging.captureWarnings(True)
    try:
        with _stderr_to(path) if capture_stderr else nullcontext():
            yield
    finally:
        logging.captureWarnings(False)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        if on_stderr:
            logger.addHandler(_STDERR)


@contextmanager
def _stderr_to(path: str) -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 2)
    os.close(target)
    faulthandler.enable(saved)
    try:
        yield
    finally:
        faulthandler.disable()
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


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


@contextmanager
def only_logged(tell: Callable[[Exception], None] = lambda error: None) -> Iterator[None]:
    """Lets an error of the block go no further than the log, and tells it."""
    try:
        yield
    except Exception as error:
        log_exception(error)
        tell(error)
