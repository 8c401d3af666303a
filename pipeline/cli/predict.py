"""Asks a pushed model: loads the SavedModel that is served, and nothing of the method's code."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ..run.root import Root
from .pushed_model import REFUSED, Inputs, offered_signatures, predict, quiet, served_version

_MOST_NUMBERS = 8


def read_input(text: str) -> bytes:
    """Returns an input as given: text, `@file`, or `-` for standard input.

    Raises:
        ValueError: the file cannot be read.
    """
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            with open(text[1:], "rb") as reader:
                return reader.read()
        except OSError as error:
            raise ValueError(f"{text[1:]} cannot be read: {error.strerror}") from error
    return text.encode()


def predict_command(
    ctx: click.Context,
    method: str,
    arguments: Sequence[str],
    root_option: Callable[[Any], Any],
    json_option: Callable[[Any], Any],
) -> click.Command:
    """Returns the command `methodical predict METHOD`, with an option for each input.

    Args:
        ctx: the context of `methodical predict`.
        method: the method's name.
        arguments: what follows it on the command line. The root that is named there, or else the
            default one, has the model whose inputs become options.
        root_option: adds the option `--root`.
        json_option: adds the option `--json`.
    """
    loose = {"ignore_unknown_options": True, "allow_extra_args": True}
    peek = click.command(add_help_option=False, context_settings=loose)(root_option(lambda: None))
    given_root = peek.make_context(method, list(arguments), parent=ctx).params["root"]
    about = f"Ask the pushed model of {method}."
    try:
        folder = served_version(Root(given_root), method)
    except FileNotFoundError as error:
        missing = str(error)

        def without_model(root: str, as_json: bool) -> None:
            click.echo(f"Error: {missing}", err=True)
            raise SystemExit(1)

        return click.command(method, help=f"{about}\n\n{missing}", context_settings=loose)(
            root_option(json_option(without_model))
        )
    signatures = offered_signatures(folder)
    of_files = _signatures_of_files(signatures)

    def command(
        root: str, as_json: bool, files: tuple[str, ...] = (), **options: str | None
    ) -> None:
        inputs = {name: text for name, text in options.items() if text is not None}
        inputs |= _inputs_of_files(of_files, files, inputs)
        signature = _signature_of(signatures, inputs, of_files)
        outputs = _ask(folder, signature, inputs)
        if as_json:
            version = int(folder.replace(os.sep, "/").rpartition("/")[2])
            document = {"method": method, "version": version, "outputs": outputs}
            click.echo(json.dumps(document, indent=1, ensure_ascii=False))
            return
        for name, value in outputs.items():
            click.echo(f"{name:<20} {_shown(value)}")
        click.echo(f"{'model':<20} {folder}")

    about += "\n\nA value of `@FILE` is read from a file, `-` from standard input."
    built: Callable[..., None] = command
    if of_files:
        about += f"\n\nFiles may be given without an option: {_files_told(of_files)}."
        built = click.argument("files", nargs=-1, metavar="[FILE]…")(built)
    options = {name: entry for inputs in signatures.values() for name, entry in inputs.items()}
    required = len(signatures) == 1 and not of_files
    for name, entry in reversed(options.items()):
        built = click.option(_flag(name), name, required=required, help=entry["help"])(built)
    return click.command(method, help=about)(root_option(json_option(built)))


def _ask(folder: str, signature: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Returns the model's outputs for inputs as they stand on the command line."""
    read = {name: text[1:] for name, text in inputs.items() if text.startswith("@")}
    try:
        values = {name: read_input(text) for name, text in inputs.items()}
        for name, value in values.items():
            if not value.strip():
                what = read.get(name, _flag(name))
                raise ValueError(f"{what} must not be empty. Received: {value.decode()!r}")
        with quiet():
            outputs = predict(folder, values, signature)
        # A model that answers each of a batch by itself says of each what is wrong with it.
        wrong = outputs.pop("error", "")
        if wrong:
            raise ValueError(f"{REFUSED}{wrong}")
    except ValueError as error:
        message = _by_file(str(error), read, len(inputs))
        names = [text for text in inputs.values() if os.path.isfile(text)]
        if names:
            end = "" if message.endswith((".", "!", "?")) else "."
            message += f"{end} To read a file write @ before its name: @{names[0]}"
        raise click.UsageError(message) from error
    return outputs


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _signatures_of_files(signatures: Mapping[str, Inputs]) -> dict[str, list[str]]:
    """Returns the inputs by signature where all of them are files."""
    return {
        name: list(inputs)
        for name, inputs in signatures.items()
        if all(entry["file"] for entry in inputs.values())
    }


def example_command(method: str, root: str, named_root: str | None = None) -> str:
    """Returns a command line that asks the pushed model, with the inputs' names for values.

    Where files can be given without an option it is the one with the most of them.

    Args:
        method: the method's name.
        root: the pipeline root.
        named_root: the root as the command must name it, if it must.

    Raises:
        FileNotFoundError: no model was pushed.
    """
    signatures = offered_signatures(served_version(Root(root), method))
    files = max(_signatures_of_files(signatures).values(), key=len, default=[])
    asked = [name.upper() for name in files]
    for name in () if files else next(iter(signatures.values())):
        asked += [_flag(name), name.upper()]
    where = ["--root", named_root] if named_root else []
    return shlex.join(["methodical", "predict", method, *asked, *where])


def _files_told(of_files: Mapping[str, Sequence[str]]) -> str:
    """Says which inputs so many files without an option are."""
    descriptions = []
    for names in of_files.values():
        count, verb = ("one file", "is") if len(names) == 1 else (f"{len(names)} files", "are")
        descriptions.append(f"{count} {verb} {' and '.join(map(_flag, names))}")
    return ", ".join(descriptions)


def _by_file(message: str, read: Mapping[str, str], inputs: int) -> str:
    """Returns what the model says of an input as said of the file that the user gave for it.

    Args:
        message: of the error.
        read: names of files by input.
        inputs: how many inputs were given.
    """
    if not message.startswith(REFUSED):
        return message
    explanation = message.removeprefix(REFUSED)
    if inputs == 1 and read:
        return f"The model refuses {next(iter(read.values()))}: {explanation}"
    for name, file in read.items():
        escaped = file.replace("\\", "\\\\")
        explanation = re.sub(rf"(^|; ){re.escape(name)}: ", rf"\g<1>{escaped}: ", explanation)
    return f"{REFUSED}{explanation}"


def _inputs_of_files(
    of_files: Mapping[str, Sequence[str]], files: Sequence[str], options: Mapping[str, str]
) -> dict[str, str]:
    """Returns the inputs that files without an option are: those of the signature with as many."""
    if not files:
        return {}
    if options:
        raise click.UsageError(
            f"Give files, or options. Received: {', '.join(files)} and "
            f"{', '.join(map(_flag, options))}"
        )
    for names in of_files.values():
        if len(names) == len(files):
            return {name: f"@{file}" for name, file in zip(names, files, strict=True)}
    raise click.UsageError(f"The model takes {_counted(of_files)}. Received: {len(files)}")


def _counted(of_files: Mapping[str, Sequence[str]]) -> str:
    counts = sorted({len(names) for names in of_files.values()})
    return f"{' or '.join(map(str, counts))} {'file' if counts == [1] else 'files'}"


def _signature_of(
    signatures: Mapping[str, Inputs],
    options: Mapping[str, str],
    of_files: Mapping[str, Sequence[str]],
) -> str:
    """Returns the signature that takes the inputs given."""
    for signature, inputs in signatures.items():
        if set(inputs) == set(options):
            return signature
    choices = [" and ".join(map(_flag, inputs)) for inputs in signatures.values()]
    if of_files:
        choices.append(f"{_counted(of_files)} without an option")
    received = ", ".join(map(_flag, options)) or "none of them"
    raise click.UsageError(f"Give {', or '.join(choices)}. Received: {received}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        if len(value) > _MOST_NUMBERS and all(isinstance(entry, float) for entry in value):
            first = ", ".join(_shown(entry) for entry in value[:_MOST_NUMBERS])
            return f"{first}, … ({len(value)} numbers; --json shows all)"
        entries = [_shown(entry) for entry in value if entry not in ("", -1)]
        separator = ("\n" + " " * 21) if any(" " in entry for entry in entries) else ", "
        return separator.join(entries)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
