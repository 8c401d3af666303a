"""InfraValidator: runs the SavedModel in a clean process, as a server would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any, ClassVar

import pydantic

from ..base.artifacts import InfraBlessing, SavedModel
from ..base.component import Component, ExecutionContext, Stop
from ..io import filesystem

_STDERR_LINES = 8


class InfraValidator(Component):
    """Checks that the exported model answers correctly without this project.

    A fresh Python process, which cannot import this project, loads the SavedModel with TensorFlow,
    replays every warm-up request one by one and in batches of 32, and compares the answers with
    the references that the trained models gave: numbers within `tolerance` of
    `max(1, |reference|)`, integers and strings exactly. It refuses Python operations in the graph
    (they work here and fail in a server) and paths of this machine, and it measures the latency
    of single requests.

    `infra_validation.json` has `blessed`, `reasons` (why not), `parity` (the largest difference),
    `requests`, `signatures` (for each the requests, the compared outputs and differences by batch
    size), `latency_milliseconds` (`signature`, `p50`, `p95`, `values`), `load_seconds`,
    `operations` (kinds in the graph), `isolated` (whether Python ran without site packages) and the
    versions `python` and `tensorflow`.
    """

    INPUTS: ClassVar = {"saved_model": SavedModel}
    OUTPUTS: ClassVar = {"blessing": InfraBlessing}

    class Parameters(Component.Parameters):
        """The InfraValidator's own parameters.

        Args:
            tolerance: largest difference of a number from its reference, relative to
                `max(1, |reference|)`.
            latency_requests: number of single requests whose time is measured.
            timeout_seconds: time limit of the process, in seconds.
        """

        tolerance: float = pydantic.Field(default=1e-5, ge=0)
        latency_requests: int = pydantic.Field(default=50, ge=1)
        timeout_seconds: float = pydantic.Field(default=600.0, gt=0)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Validates and writes the blessing."""
        saved, blessing = context.inputs["saved_model"], context.outputs["blessing"]
        context.progress(None, "loading the model in a clean process")
        checks = _validate(saved, context.parameters)
        reasons = checks["reasons"]
        checks["blessed"] = blessed = not reasons
        blessing.write_json("infra_validation.json", checks)
        blessing.properties.update(blessed=blessed, reasons=reasons, parity=checks.get("parity"))
        name = "INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED"
        filesystem.open_file(blessing.path(name), "w").close()
        context.counters["requests"] = checks.get("requests", 0)
        if blessed:
            context.summary = (
                f"parity {checks['parity']:.1e}, "
                f"p95 {checks['latency_milliseconds']['p95']:.1f} ms, "
                f"{checks['requests']} warm-up requests"
            )
        else:
            context.summary = reasons[0]
            context.stop = Stop(
                "not_infra_blessed",
                f"The exported model would not serve: {'; '.join(reasons)}. See "
                "infra_validation.json and the method's `serve` function.",
            )


def _validate(saved: SavedModel, parameters: Any) -> dict[str, Any]:
    from ..exporter import prediction_log
    from . import validation_process

    with tempfile.TemporaryDirectory() as folder:
        request = {
            "saved_model": saved.path(SavedModel.FOLDER),
            "references": saved.path("references.npz"),
            "prediction_log": prediction_log.__file__,
            "library_paths": library_paths(),
            "forbidden": [__name__.split(".", maxsplit=1)[0]],
            "tolerance": parameters.tolerance,
            "latency_requests": parameters.latency_requests,
            "parent": os.getpid(),
            "result": os.path.join(folder, "result.json"),
        }
        arguments = os.path.join(folder, "request.json")
        with open(arguments, "w", encoding="utf-8") as writer:
            json.dump(request, writer)
        script = validation_process.__file__
        failure = _run([sys.executable, "-I", "-S", script, arguments], folder, parameters)
        if failure is not None:
            return {"reasons": [failure]}
        with open(request["result"], encoding="utf-8") as reader:
            return json.load(reader)


def _run(command: list[str], folder: str, parameters: Any) -> str | None:
    """Runs the process in a folder of its own and returns why it failed, or `None`."""
    limit = parameters.timeout_seconds
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return (
            f"the clean process did not end within infra_validator.timeout_seconds = {limit:g}: "
            "the model loads or answers too slowly, or hangs"
        )
    if ended.returncode == 0:
        return None
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-_STDERR_LINES:]
    return f"the clean process ended with exit code {ended.returncode}: {' | '.join(lines)}"


def library_paths() -> list[str]:
    """Returns the folders of installed packages of this interpreter.

    The clean process gets them as they are; `.pth` files in them, which make an editable
    installation importable, are not read there.
    """
    paths = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    return [path for path in dict.fromkeys(paths) if os.path.isdir(path)]
