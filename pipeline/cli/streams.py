"""What is written where: the JSON document alone on stdout, the screen on a stream of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def only_json_on_stdout(as_json: bool) -> Iterator[IO[str]]:
    """Yields where the document goes; whatever else is written to stdout goes to stderr."""
    if not as_json:
        yield sys.stdout
        return
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            is_real = stdout.fileno() == 1
        except OSError:
            is_real = False
        if not is_real:
            yield stdout
            return
        # Native code and child processes write to the file descriptor.
        stdout.flush()
        saved = os.dup(1)
        os.dup2(2, 1)
        with open(saved, "w", encoding="utf-8") as document:
            try:
                yield document
            finally:
                document.flush()
                os.dup2(saved, 1)


@contextmanager
def own_stream(stream: IO[str]) -> Iterator[tuple[IO[str], bool]]:
    """Yields a copy of a stream for the screen, so that stderr can be sent to the run's log.

    A stream without a file descriptor is yielded itself.
    """
    try:
        descriptor = os.dup(stream.fileno())
    except OSError:
        yield stream, False
        return
    with open(descriptor, "w", encoding="utf-8") as own:
        yield own, True


@contextmanager
def sign_of_life(text: str) -> Iterator[None]:
    """Shows a line on a terminal until something better can be shown."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if shown:
        sys.stderr.write(text)
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
