"""What the commands share: options, JSON documents, errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

DEFAULT_ROOT = "./methodical_root"


def root_option(multiple: bool = False) -> Callable[[Any], Any]:
    """Returns the option `--root`."""
    return click.option(
        "--root",
        "roots" if multiple else "root",
        default=(DEFAULT_ROOT,) if multiple else DEFAULT_ROOT,
        envvar="METHODICAL_ROOT",
        show_default=True,
        show_envvar=True,
        multiple=multiple,
        metavar="DIR",
        help="The pipeline root: artifacts, metadata, reports, pushed models.",
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document to stdout."
)


def find_method(name: str) -> Any:
    """Returns a method's entry; a name that there is not is an error of usage."""
    from .. import methods

    try:
        return methods.find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def write_json(value: Any, stream: IO[str] | None = None) -> None:
    """Writes one JSON document, to stdout for `None`."""
    json.dump(value, stream or sys.stdout, indent=1, ensure_ascii=False)
    (stream or sys.stdout).write("\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the command with a message and an exit code."""
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)


@contextmanager
def store_errors() -> Iterator[None]:
    """Ends the command with a message where a root or its store does not hold what is asked for."""
    from ..metadata.database import MetadataError

    try:
        yield
    except (MetadataError, FileNotFoundError) as error:
        fail(str(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
