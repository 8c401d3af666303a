"""The program of InfraValidator's clean process: loads a SavedModel as a server would.

Run as `python -I -S validation_process.py request.json`, without site packages and without
this project; it puts the folders of installed packages on the path itself. It imports nothing of
the project, and loads the warm-up requests' proto by the path of its file.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import io
import json
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PYTHON_OPERATIONS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction"})
BATCH_SIZES = (1, 32)
_PARENT_SECONDS = 1.0


class Blocker(importlib.abc.MetaPathFinder):
    """Hides packages, even installed ones.

    Args:
        packages: names of top-level packages.
    """

    def __init__(self, packages: Sequence[str]):
        self.packages = frozenset(packages)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Refuses the packages and leaves all others to the finders that follow."""
        if fullname.split(".", maxsplit=1)[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def main(arguments: str) -> None:
    """Validates what the request describes and writes the result.

    Args:
        arguments: path of the request, a JSON file.
    """
    with open(arguments, encoding="utf-8") as reader:
        request = json.load(reader)
    threading.Thread(target=_end_with, args=(request["parent"],), daemon=True).start()
    sys.path.extend(request["library_paths"])
    sys.meta_path.insert(0, Blocker(request["forbidden"]))
    result = validate(request)
    with open(request["result"], "w", encoding="utf-8") as writer:
        json.dump(result, writer)


def validate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Runs all checks and returns their results, with the `reasons` not to bless."""
    reasons: list[str] = []
    importable = [name for name in request["forbidden"] if _importable(name)]
    if importable:
        reasons.append(f"the clean process could import {', '.join(importable)}")
    import tensorflow as tf

    folder = request["saved_model"]
    result: dict[str, Any] = {
        "reasons": reasons,
        "importable": importable,
        "isolated": bool(sys.flags.isolated and sys.flags.no_site),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }
    try:
        graph = _graph(folder)
    except (OSError, ValueError, tf.errors.OpError) as error:
        reasons.append(f"saved_model.pb cannot be read: {_line(error)}")
        return result
    result["operations"] = len({node.op for node in _nodes(graph)})
    python = [node for node in _nodes(graph) if node.op in PYTHON_OPERATIONS]
    if python:
        names = sorted({node.name for node in python})
        reasons.append(
            "the graph calls Python, which no server can: "
            f"{', '.join(sorted({node.op for node in python}))} (nodes {', '.join(names[:3])})"
        )
    reasons.extend(_paths(graph))
    if python:
        # Loading would fail at the first request with a message that hides the cause.
        return result

    began = time.perf_counter()
    try:
        model = tf.saved_model.load(folder)
    except Exception as error:  # A server would refuse it, whatever the class of the error.
        reasons.append(f"the model cannot be loaded: {_line(error)}")
        return result
    result["load_seconds"] = round(time.perf_counter() - began, 3)
    _replay(request, model, result)
    return result


def _replay(request: Mapping[str, Any], model: Any, result: dict[str, Any]) -> None:
    import numpy as np
    import tensorflow as tf

    reasons = result["reasons"]
    log = _module_at(request["prediction_log"])
    path = "/".join([request["saved_model"].rstrip("/"), log.WARM_UP_FOLDER, log.WARM_UP_FILE])
    try:
        replayed = list(log.read_requests(path))
    except tf.errors.OpError as error:
        reasons.append(f"the warm-up requests cannot be read: {_line(error)}")
        return
    requests: dict[str, list[dict[str, Any]]] = {name: [] for name in model.signatures}
    for name, inputs in replayed:
        if name not in requests:
            reasons.append(f"a warm-up request names the unknown signature {name!r}")
            return
        requests[name].append(inputs)
    result["requests"] = count = len(replayed)
    if count > log.MOST_WARM_UP_REQUESTS:
        reasons.append(
            f"there are {count} warm-up requests; TensorFlow Serving takes at most "
            f"{log.MOST_WARM_UP_REQUESTS}"
        )
    if "serving_default" not in requests:
        reasons.append("there is no signature 'serving_default'")
    with tf.io.gfile.GFile(request["references"], "rb") as reader:
        content = io.BytesIO(reader.read())
    with np.load(content) as stored:
        references = {name: stored[name] for name in stored.files}
    if not references:
        reasons.append("there are no references: nothing says what the model should answer")

    result["signatures"] = {}
    result["parity"] = 0.0
    for name, signature_requests in requests.items():
        if not signature_requests:
            reasons.append(f"the signature {name!r} has no warm-up request")
            continue
        expected = {
            key.removeprefix(f"{name}/"): value
            for key, value in references.items()
            if key.startswith(f"{name}/")
        }
        checked: dict[str, Any] = {
            "requests": len(signature_requests),
            "compared": sorted(expected),
            "differences": {},
        }
        result["signatures"][name] = checked
        for size in BATCH_SIZES:
            try:
                answers = _answers(model.signatures[name], signature_requests, size)
            except Exception as error:  # Any failure to answer is one that a client would see.
                reasons.append(
                    f"{name!r} fails on a warm-up request at batch size {size}: {_line(error)}"
                )
                break
            worst = 0.0
            for key, reference in expected.items():
                difference, problem = compare(answers.get(key), reference, request["tolerance"])
                worst = max(worst, difference)
                if problem:
                    reasons.append(f"{name!r} at batch size {size}: output {key!r} {problem}")
            checked["differences"][str(size)] = worst
            result["parity"] = max(result["parity"], worst)
    if not reasons:
        measured = "serving_default"
        result["latency_milliseconds"] = {
            "signature": measured,
            **_latency(model.signatures[measured], requests[measured], request["latency_requests"]),
        }


def _answers(function: Any, requests: Sequence[Mapping[str, Any]], size: int) -> dict[str, Any]:
    import numpy as np

    parts: dict[str, list[Any]] = {}
    for begin in range(0, len(requests), size):
        for key, value in _call(function, requests[begin : begin + size]).items():
            parts.setdefault(key, []).append(value)
    return {key: np.concatenate(values) for key, values in parts.items()}


def _call(function: Any, requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import numpy as np
    import tensorflow as tf

    inputs = {
        name: tf.constant(np.concatenate([request[name] for request in requests]))
        for name in requests[0]
    }
    return {name: value.numpy() for name, value in function(**inputs).items()}


def compare(answer: Any, reference: Any, tolerance: float) -> tuple[float, str | None]:
    """Compares an output with its reference.

    Args:
        answer: array of the answers, or `None` if there is no such output.
        reference: array that it should be.
        tolerance: largest difference of floating-point numbers, relative to `max(1, |reference|)`.

    Returns:
        The largest such difference (0 for what must be equal) and what is wrong, or `None`.
    """
    import numpy as np

    if answer is None:
        return 0.0, "is missing"
    if answer.shape != reference.shape:
        return 0.0, f"has shape {answer.shape} instead of {reference.shape}"
    kinds = {answer.dtype.kind, reference.dtype.kind}
    # bfloat16 and its like are of kind "V".
    if kinds & set("SO") or not kinds & set("fcV"):
        received, expected = answer.astype(object).ravel(), reference.astype(object).ravel()
        wrong = np.flatnonzero(received != expected)
        if not wrong.size:
            return 0.0, None
        return 0.0, (
            f"differs in {wrong.size} of {answer.size} values, the first "
            f"{received[wrong[0]]!r} instead of {expected[wrong[0]]!r}"
        )
    if not answer.size:
        return 0.0, None
    left, right = answer.astype(np.float64), reference.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        differences = np.where(same, 0.0, np.abs(left - right) / np.maximum(1.0, np.abs(right)))
    # A number compared with NaN or infinity has the largest possible difference.
    differences = np.where(np.isfinite(differences), differences, sys.float_info.max)
    worst = float(differences.max())
    if worst > tolerance:
        return worst, f"differs by {worst:.3g}, more than the tolerance {tolerance:g}"
    return worst, None


def _latency(function: Any, requests: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    import numpy as np

    times = []
    for index in range(count):
        request = requests[index % len(requests)]
        began = time.perf_counter()
        _call(function, [request])
        times.append((time.perf_counter() - began) * 1e3)
    return {
        "p50": round(float(np.percentile(times, 50)), 3),
        "p95": round(float(np.percentile(times, 95)), 3),
        "values": [round(value, 3) for value in times],
    }


def _graph(folder: str) -> Any:
    import tensorflow as tf
    from google.protobuf import message
    from tensorflow.core.protobuf import saved_model_pb2

    with tf.io.gfile.GFile("/".join([folder.rstrip("/"), "saved_model.pb"]), "rb") as reader:
        try:
            return saved_model_pb2.SavedModel.FromString(reader.read())
        except message.DecodeError as error:
            raise ValueError(str(error)) from error


def _nodes(saved_model: Any) -> Iterator[Any]:
    """Yields the nodes of the graph and of every function in its library."""
    for meta_graph in saved_model.meta_graphs:
        yield from meta_graph.graph_def.node
        for function in meta_graph.graph_def.library.function:
            yield from function.node_def


def _paths(saved_model: Any) -> list[str]:
    """Returns what in the model names a file of this machine."""
    problems = []
    for meta_graph in saved_model.meta_graphs:
        for asset in meta_graph.asset_file_def:
            name = asset.filename
            if _absolute(name) or ".." in re.split(r"[/\\]", name):
                problems.append(f"the asset {name!r} lies outside the model")
    for node in _nodes(saved_model):
        if node.op == "Const" and "value" in node.attr:
            for value in node.attr["value"].tensor.string_val:
                text = value.decode("utf-8", "replace")
                if _absolute(text) and text.count("/") > 1 and os.path.exists(text):
                    problems.append(f"the constant {node.name!r} names the local path {text!r}")
    return problems


def _absolute(path: str) -> bool:
    return (
        path.startswith(("/", "\\"))
        or "://" in path
        or re.match(r"[A-Za-z]:[\\/]", path) is not None
    )


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _module_at(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("prediction_log", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"A module must be a Python file. Received: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
