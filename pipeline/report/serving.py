"""The report's serving section: signatures, parity, latency and the lines that serve the model."""

from __future__ import annotations

import base64
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import InfraBlessing, PushedModel, SavedModel
from ...components.io import filesystem
from ..charts.bars import histogram
from ..charts.svg import number
from .data import short_example
from .outputs import Outputs, guarded, plain

PORT = 8501
DEFAULT = "serving_default"
LONGEST = 800


def serving(outputs: Outputs) -> dict[str, Any]:
    """Returns what was exported, how it was checked, and how to serve it."""
    saved = outputs.artifact("Exporter", "saved_model", SavedModel)
    infra = outputs.artifact("InfraValidator", "blessing", InfraBlessing)
    pushed = outputs.artifact("Pusher", "pushed_model", PushedModel)
    if saved is None:
        return {}
    signatures = _json_file(saved, "signatures.json") or {}
    checks = (_json_file(infra, "infra_validation.json") if infra else None) or {}
    receipt = (_json_file(pushed, "receipt.json") if pushed else None) or {}
    example = guarded(lambda: dict(short_example(outputs)))
    return {
        "signatures": _signatures(signatures, checks.get("signatures") or {}),
        "batch_sizes": _batch_sizes(checks),
        "made": dict(saved.properties.get("facts") or {}),
        "facts": _facts(checks),
        "reasons": checks.get("reasons") or [],
        "latency": _latency(checks.get("latency_milliseconds") or {}),
        "validated": infra is not None,
        "version": (pushed.properties.get("version") if pushed else None) or receipt.get("version"),
        "size": _size(saved),
        "commands": serve_commands(outputs, signatures, example) if pushed else None,
    }


def serve_commands(
    outputs: Outputs, signatures: Mapping[str, Any], example: Mapping[str, Any]
) -> dict[str, str]:
    """Returns the lines that serve the pushed model with TensorFlow Serving and ask it."""
    name = outputs.run.get("method") or "model"
    folder = filesystem.join(outputs.root, "serving")
    if not filesystem.is_remote(folder):
        folder = os.path.abspath(folder)
    inputs = (signatures.get(DEFAULT) or {}).get("inputs") or {}
    instance = {name: _instance_value(example.get(name), name) for name in inputs}
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
        binary = any(isinstance(entry, bytes) and not _is_text(entry) for entry in value)
        if len(plain(value, LONGEST)) < LONGEST:
            if binary:
                # How the REST interface of TensorFlow Serving takes bytes that are no text.
                return {"b64": base64.b64encode(value[0]).decode()}
            if all(isinstance(entry, bytes) for entry in value):
                return "\n".join(entry.decode() for entry in value)
            return value[0] if len(value) == 1 else list(value)
        if binary:
            return {"b64": f"<base64 of {name}>"}
    return f"<{name}>"


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json_file(artifact: Any, name: str) -> Any:
    for path in filesystem.walk(artifact.uri):
        if path.rsplit("/", 1)[-1] == name:
            return artifact.read_json(path)
    return None


def _size(saved: SavedModel) -> str:
    total = sum(
        filesystem.size(saved.path(*name.split("/"))) for name in filesystem.walk(saved.uri)
    )
    return f"{number(total / 1e6)} MB" if total >= 1e6 else f"{number(total / 1e3)} kB"


def _signatures(
    signatures: Mapping[str, Any], checked: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "inputs": _tensors(entry.get("inputs") or {}),
            "outputs": _tensors(entry.get("outputs") or {}),
            "requests": number((checked.get(name) or {}).get("requests")),
            "differences": {
                size: number(difference)
                for size, difference in ((checked.get(name) or {}).get("differences") or {}).items()
            },
        }
        for name, entry in sorted(
            signatures.items(), key=lambda item: (item[0] != DEFAULT, item[0])
        )
    ]


def _tensors(signature_tensors: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    tensors = []
    for name, entry in signature_tensors.items():
        sizes = ["any" if size is None else str(size) for size in entry.get("shape") or ()]
        if sizes and sizes[0] == "any":
            sizes[0] = "batch"
        tensors.append((name, f"{entry.get('dtype', '')} [{', '.join(sizes)}]"))
    return tensors


def _batch_sizes(checks: Mapping[str, Any]) -> list[str]:
    sizes = {
        size
        for checked in (checks.get("signatures") or {}).values()
        for size in checked.get("differences") or ()
    }
    return sorted(sizes, key=int)


def _facts(checks: Mapping[str, Any]) -> list[tuple[str, str]]:
    latency = checks.get("latency_milliseconds") or {}
    entries = (
        ("largest difference", checks.get("parity"), ""),
        ("requests replayed", checks.get("requests"), ""),
        ("latency, median", latency.get("p50"), " ms"),
        ("latency, 95th percentile", latency.get("p95"), " ms"),
        ("time to load", checks.get("load_seconds"), " s"),
        ("kinds of operations", checks.get("operations"), ""),
    )
    facts = [(name, number(value) + unit) for name, value, unit in entries if value is not None]
    versions = [f"{name} {checks[name]}" for name in ("python", "tensorflow") if name in checks]
    return [*facts, ("loaded by", ", ".join(versions))] if versions else facts


def _latency(latency: Mapping[str, Any]) -> dict[str, str]:
    values = latency.get("values") or []
    if not values:
        return {}
    title = f"milliseconds of {len(values)} requests to {latency.get('signature', '')}"
    return {"title": title, "svg": histogram(_buckets(values), title, 320, 92)}


def _buckets(values: Sequence[float], most: int = 24) -> list[tuple[float, float, float]]:
    low, high = min(values), max(values)
    count = min(most, max(len(values) // 3, 5))
    step = (high - low) / count or 1.0
    counts = [0] * count
    for value in values:
        counts[min(int((value - low) / step), count - 1)] += 1
    return [(low + step * i, low + step * (i + 1), count) for i, count in enumerate(counts)]
