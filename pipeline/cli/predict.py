"""Asks a pushed model: loads the SavedModel that is served, and nothing of the method's code."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from ...components.io import filesystem
from ...components.pusher import versions
from ..methods.method import Method
from ..run.root import Root

_MOST_NUMBERS = 8
_REFUSED = "The model refuses the inputs: "


def served_version(root: Root, model_name: str) -> str:
    """Returns the folder of the version that is served: the pinned one, else the newest.

    Raises:
        FileNotFoundError: no version was pushed.
    """
    version = versions.current_version(root.serving, model_name)
    if version is None:
        raise FileNotFoundError(
            f"No model of {model_name} was pushed into this root. Make one with: methodical run "
            f"{model_name} --root {root.path}"
        )
    return filesystem.join(root.serving, model_name, str(version))


def predict(
    folder: str, inputs: Mapping[str, bytes], signature: str = "serving_default"
) -> dict[str, Any]:
    """Runs a signature of a SavedModel on one example.

    ```python
    predict("serving/babi/1", {"story": b"Mary went to the garden.", "question": b"Where is Mary?"})
    ```

    Args:
        folder: string. The SavedModel's folder.
        inputs: one value by input name, as given on the command line; for an input that is not
            one text, JSON.
        signature: string. The signature's name.

    Returns:
        JSON values by output name.

    Raises:
        ValueError: an input is missing, unknown, or not of the signature's type.
    """
    import tensorflow as tf

    model = tf.saved_model.load(folder)
    function = model.signatures[signature]
    specs = function.structured_input_signature[1]
    if set(specs) != set(inputs):
        raise ValueError(
            f"The model takes the inputs {', '.join(sorted(specs))}. "
            f"Received: {', '.join(sorted(inputs))}"
        )
    tensors = {}
    for name, spec in specs.items():
        value: Any = inputs[name]
        kind = "a list of " * (spec.shape.rank - 1) + spec.dtype.name
        if spec.dtype != tf.string or spec.shape.rank != 1:
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(
                    f"--{name} takes JSON of type {kind}. Received: "
                    f"{value.decode('utf-8', 'backslashreplace')!r}"
                ) from error
        try:
            tensors[name] = tf.constant([value], dtype=spec.dtype)
        except (ValueError, TypeError) as error:
            raise ValueError(f"--{name} takes {kind}. Received: {value!r}") from error
        if tensors[name].shape.rank != spec.shape.rank:
            raise ValueError(f"--{name} takes JSON of type {kind}. Received: {value!r}")
    try:
        outputs = function(**tensors)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{_REFUSED}{complaint(error.message)}") from error
    return {name: _plain(outputs[name][0].numpy()) for name in sorted(outputs)}


def complaint(message: str) -> str:
    """Returns what an operation of a graph complained of, without where it stands in the graph.

    ```python
    >>> complaint("Detected at node a\\nInvalid PNG data, size 60\\n\\t [[{{node a}}]]")
    'Invalid PNG data, size 60'
    ```
    """
    said = message.partition("\n\t [[")[0].strip().splitlines()
    return said[-1].removeprefix("assertion failed: ") if said else "no reason is given"


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what TensorFlow says while it loads, and shows it after an error."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        faulthandler.enable(saved)
        try:
            yield
        except ValueError:
            raise  # One sentence about the inputs, which the noise would hide.
        except BaseException:
            said.seek(0)
            os.write(saved, said.read())
            raise
        finally:
            faulthandler.disable()
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def predict_command(
    method: Method, root_option: Callable[[Any], Any], json_option: Callable[[Any], Any]
) -> click.Command:
    """Returns the command `methodical predict METHOD`, with an option for each input."""
    by_signature = {"serving_default": method.predict_inputs, **method.predict_signatures}

    def command(root: str, as_json: bool, files: tuple[str, ...] = (), **given: str | None) -> None:
        place = Root(root)
        inputs = {name: text for name, text in given.items() if text is not None}
        inputs |= _of_files(method.predict_files, files, inputs)
        signature = _asked(by_signature, inputs, method.predict_files)
        read = {name: text[1:] for name, text in inputs.items() if text.startswith("@")}
        try:
            values = {name: read_input(text) for name, text in inputs.items()}
            for name, value in values.items():
                if not value.strip():
                    what = read.get(name, _flag(name))
                    raise ValueError(f"{what} must not be empty. Received: {value.decode()!r}")
            folder = served_version(place, method.name)
            with _quiet():
                outputs = predict(folder, values, signature)
            # A model that answers each of a batch by itself says of each what is wrong with it.
            wrong = outputs.pop("error", "")
            if wrong:
                raise ValueError(f"{_REFUSED}{wrong}")
        except FileNotFoundError as error:
            click.echo(f"Error: {error}", err=True)
            raise SystemExit(1) from error
        except ValueError as error:
            names = [text for text in inputs.values() if os.path.isfile(text)]
            said = _by_file(str(error), read, len(inputs))
            if names:
                end = "" if said.endswith((".", "!", "?")) else "."
                said += f"{end} To read a file write @ before its name: @{names[0]}"
            raise click.UsageError(said) from error
        version = folder.replace(os.sep, "/").rpartition("/")[2]
        if as_json:
            document = {"method": method.name, "version": int(version), "outputs": outputs}
            click.echo(json.dumps(document, indent=1, ensure_ascii=False))
            return
        for name, value in outputs.items():
            click.echo(f"{name:<20} {_shown(value)}")
        click.echo(f"{'model':<20} {folder}")

    command.__doc__ = (
        f"Ask the pushed model of {method.name}.\n\nA value of `@FILE` is read from a file, `-` "
        "from standard input."
    )
    if method.predict_files:
        command.__doc__ += (
            f"\n\nFiles may be given without an option: {_files_told(method.predict_files)}."
        )
    built: Callable[..., None] = command
    options = {name: text for inputs in by_signature.values() for name, text in inputs.items()}
    required = len(by_signature) == 1 and not method.predict_files
    if method.predict_files:
        built = click.argument("files", nargs=-1, metavar="[FILE]…")(built)
    for name, text in reversed(list(options.items())):
        built = click.option(_flag(name), name, required=required, help=text)(built)
    return click.command(method.name)(root_option(json_option(built)))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def example_command(method: Method, root: str | None = None) -> str:
    """Returns a command line that asks a method's model, with the inputs' names for values.

    Where files can be given without an option it is the one with the most of them.

    Args:
        method: the registered method.
        root: the pipeline root, where it must be named.
    """
    files = max(method.predict_files.values(), key=len, default=())
    asked = [name.upper() for name in files]
    for name in () if files else method.predict_inputs:
        asked += [_flag(name), name.upper()]
    where = ["--root", root] if root else []
    return shlex.join(["methodical", "predict", method.name, *asked, *where])


def _files_told(by_signature: Mapping[str, Sequence[str]]) -> str:
    """Says which inputs so many files without an option are."""
    told = []
    for names in by_signature.values():
        count = "one file" if len(names) == 1 else f"{len(names)} files"
        verb = "is" if len(names) == 1 else "are"
        told.append(f"{count} {verb} {' and '.join(map(_flag, names))}")
    return ", ".join(told)


def _by_file(message: str, read: Mapping[str, str], inputs: int) -> str:
    """Returns what the model says of an input as said of the file that the user gave for it.

    Args:
        message: of the error.
        read: names of files by input.
        inputs: how many inputs were given.
    """
    if not message.startswith(_REFUSED):
        return message
    said = message.removeprefix(_REFUSED)
    if inputs == 1 and read:
        return f"The model refuses {next(iter(read.values()))}: {said}"
    for name, file in read.items():
        said = re.sub(
            rf"(^|; ){re.escape(name)}: ", lambda found, file=file: f"{found[1]}{file}: ", said
        )
    return f"{_REFUSED}{said}"


def _of_files(
    by_signature: Mapping[str, Sequence[str]], files: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Returns the inputs that files without an option are: those of the signature with as many."""
    if not files:
        return {}
    if given:
        raise click.UsageError(
            f"Give files, or options. Received: {', '.join(files)} and "
            f"{', '.join(map(_flag, given))}"
        )
    for names in by_signature.values():
        if len(names) == len(files):
            return {name: f"@{file}" for name, file in zip(names, files, strict=True)}
    raise click.UsageError(f"The model takes {_counted(by_signature)}. Received: {len(files)}")


def _counted(by_signature: Mapping[str, Sequence[str]]) -> str:
    counts = sorted({len(names) for names in by_signature.values()})
    return f"{' or '.join(map(str, counts))} {'file' if counts == [1] else 'files'}"


def _asked(
    by_signature: Mapping[str, Mapping[str, str]],
    given: Mapping[str, str],
    files: Mapping[str, Sequence[str]],
) -> str:
    """Returns the signature that takes the inputs given."""
    for signature, inputs in by_signature.items():
        if set(inputs) == set(given):
            return signature
    choices = [" and ".join(map(_flag, inputs)) for inputs in by_signature.values()]
    if files:
        choices.append(f"{_counted(files)} without an option")
    received = ", ".join(map(_flag, given)) or "none of them"
    raise click.UsageError(f"Give {', or '.join(choices)}. Received: {received}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        if len(value) > _MOST_NUMBERS and all(isinstance(entry, float) for entry in value):
            some = ", ".join(_shown(entry) for entry in value[:_MOST_NUMBERS])
            return f"{some}, … ({len(value)} numbers; --json shows all)"
        entries = [_shown(entry) for entry in value if entry not in ("", -1)]
        separator = ("\n" + " " * 21) if any(" " in entry for entry in entries) else ", "
        return separator.join(entries)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
