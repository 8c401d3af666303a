"""A pushed model: which version is served, what it says of its inputs, and its answers."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ...components.exporter.serving_model import EXTRA, SIGNATURES
from ...components.io import filesystem
from ...components.pusher import versions
from ..run.root import Root

Inputs = Mapping[str, Mapping[str, Any]]
"""The inputs of a signature: `help` and `file` by name."""

REFUSED = "The model refuses the inputs: "
"""What the message of an error begins with that a model raises."""


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


def offered_signatures(folder: str) -> dict[str, Inputs]:
    """Returns the inputs that a user is asked for, by signature.

    Those of the signatures whose inputs all have help texts. A SavedModel without any help text,
    such as one pushed before models described themselves, offers all signatures.

    Args:
        folder: string. The SavedModel's folder.

    Returns:
        By signature and input a dict with `help` and `file`.
    """
    path = filesystem.join(folder, EXTRA, SIGNATURES)
    if filesystem.exists(path):
        with filesystem.open_file(path) as reader:
            signatures = {name: entry["inputs"] for name, entry in json.load(reader).items()}
    else:
        signatures = _signatures_of_graph(folder)
    explained = {
        name: inputs
        for name, inputs in signatures.items()
        if all(entry["help"] for entry in inputs.values())
    }
    return explained or signatures


def _signatures_of_graph(folder: str) -> dict[str, Inputs]:
    with quiet():
        from tensorflow.core.protobuf import saved_model_pb2

    with filesystem.open_file(filesystem.join(folder, "saved_model.pb"), "rb") as reader:
        (graph,) = saved_model_pb2.SavedModel.FromString(reader.read()).meta_graphs
    return {
        name: {key: {"help": "", "file": False} for key in sorted(signature.inputs)}
        for name, signature in sorted(graph.signature_def.items())
        if signature.inputs
    }


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
        raise ValueError(f"{REFUSED}{complaint(error.message)}") from error
    return {name: _plain(outputs[name][0].numpy()) for name in sorted(outputs)}


def complaint(message: str) -> str:
    """Returns what an operation of a graph complained of, without where it stands in the graph.

    ```python
    >>> complaint("Detected at node a\\nInvalid PNG data, size 60\\n\\t [[{{node a}}]]")
    'Invalid PNG data, size 60'
    ```
    """
    lines = message.partition("\n\t [[")[0].strip().splitlines()
    return lines[-1].removeprefix("assertion failed: ") if lines else "no reason is given"


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what TensorFlow says while it loads, and shows it after an error."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        faulthandler.enable(saved)
        try:
            yield
        except ValueError:
            raise  # One sentence about the inputs, which the noise would hide.
        except BaseException:
            messages.seek(0)
            os.write(saved, messages.read())
            raise
        finally:
            faulthandler.disable()
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
