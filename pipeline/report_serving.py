"""The report's serving section: signatures, parity, latency and the lines that serve the model."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..components import filesystem
from ..components.artifacts import InfraBlessing, PushedModel, SavedModel
from .charts import histogram, number
from .report_data import first_example
from .report_outputs import Outputs, guarded, plain

PORT = 8501


def serving(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns what was exported, how it was checked, and how to serve it."""
    saved = outputs.artifact("Exporter", "saved_model", SavedModel)
    infra = outputs.artifact("InfraValidator", "blessing", InfraBlessing)
    pushed = outputs.artifact("Pusher", "pushed_model", PushedModel)
    if saved is None:
        return {}
    signatures = _json_file(saved, "signatures.json") or {}
    checks = (_json_file(infra, "infra_validation.json") if infra else None) or {}
    receipt = (_json_file(pushed, "receipt.json") if pushed else None) or {}
    example = guarded(lambda: dict(first_example(outputs)))
    return {
        "signatures": _signatures(signatures),
        "facts": _facts(checks),
        "latency": _latency(checks),
        "validated": infra is not None,
        "version": (pushed.properties.get("version") if pushed else None)
        or receipt.get("version"),
        "size": _size(saved),
        "commands": serve_commands(outputs, method, signatures, example) if pushed else None,
    }


def serve_commands(
    outputs: Outputs, method: Any, signatures: Mapping[str, Any], example: Mapping[str, Any]
) -> dict[str, str]:
    """Returns the lines that serve the pushed model with TensorFlow Serving and ask it."""
    name = outputs.run.get("method") or "model"
    folder = filesystem.join(outputs.root, "serving")
    if not filesystem.is_remote(folder):
        folder = os.path.abspath(folder)
    asked = getattr(method, "predict_inputs", None) or (
        (signatures.get("serving_default") or {}).get("inputs") or {}
    )
    instance = {key: _instance_value(example.get(key), key) for key in asked}
    body = json.dumps({"instances": [instance]}, ensure_ascii=False)
    return {
        "docker": (
            f"docker run --rm -p {PORT}:{PORT} \\\n"
            f"  -v {shlex.quote(folder + ':/models')} \\\n"
            "  tensorflow/serving --model_config_file=/models/models.config"
        ),
        "curl": (
            f"curl http://localhost:{PORT}/v1/models/{name}:predict \\\n  -d {shlex.quote(body)}"
        ),
    }


def _instance_value(value: Any, name: str) -> Any:
    if isinstance(value, (list, tuple)) and value:
        if all(isinstance(entry, bytes) for entry in value):
            return "\n".join(entry.decode("utf-8", "replace") for entry in value)
        return value[0] if len(value) == 1 else list(value)
    return f"<{name}>"


def _json_file(artifact: Any, name: str) -> Any:
    for path in filesystem.walk(artifact.uri):
        if path.rsplit("/", 1)[-1] == name:
            return artifact.read_json(path)
    return None


def _size(saved: SavedModel) -> str:
    total = sum(filesystem.size(saved.path(*name.split("/"))) for name in filesystem.walk(saved.uri))
    return f"{number(total / 1e6)} MB" if total >= 1e5 else f"{number(total / 1e3)} kB"


def _signatures(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "inputs": _tensors(entry.get("inputs") or {}),
            "outputs": _tensors(entry.get("outputs") or {}),
        }
        for name, entry in found.items()
        if isinstance(entry, Mapping)
    ]


def _tensors(found: Any) -> list[tuple[str, str]]:
    if not isinstance(found, Mapping):
        return [(plain(name), "") for name in found]
    tensors = []
    for name, entry in found.items():
        if isinstance(entry, Mapping):
            shape = entry.get("shape")
            text = str(entry.get("dtype", ""))
            if isinstance(shape, (list, tuple)):
                text += f" [{', '.join('batch' if n in (None, -1) else str(n) for n in shape)}]"
        else:
            text = plain(entry)
        tensors.append((str(name), text.strip()))
    return tensors


def _facts(checks: Any, before: str = "") -> list[tuple[str, str]]:
    facts = []
    for name, value in checks.items() if isinstance(checks, Mapping) else ():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            facts.extend(_facts(value, f"{label} · "))
        elif isinstance(value, bool):
            facts.append((label, "yes" if value else "no"))
        elif isinstance(value, (int, float)):
            facts.append((label, number(value)))
        elif isinstance(value, str) or (value and not _numbers(value)):
            facts.append((label, plain(value)))
    return facts


def _latency(checks: Any, name: str = "latency") -> list[dict[str, str]]:
    """Returns a histogram of every list of measured times in the checks, in whatever depth."""
    charts = []
    for key, value in checks.items() if isinstance(checks, Mapping) else ():
        if isinstance(value, Mapping):
            charts.extend(_latency(value, f"{name} {key}" if name != "latency" else key))
        elif _numbers(value) and "latenc" in f"{name} {key}" and len(value) > 4:
            title = key.replace("_", " ")
            charts.append({"title": title, "svg": histogram(_buckets(value), title, 320, 92)})
    return charts


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, (int, float)) for entry in value)
    )


def _buckets(values: Sequence[float], most: int = 24) -> list[tuple[float, float, float]]:
    low, high = min(values), max(values)
    count = min(most, max(len(values) // 3, 5))
    step = (high - low) / count or 1.0
    counts = [0] * count
    for value in values:
        counts[min(int((value - low) / step), count - 1)] += 1
    return [(low + step * i, low + step * (i + 1), count) for i, count in enumerate(counts)]
