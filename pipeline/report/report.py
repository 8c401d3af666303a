"""Writes the report of a run: one HTML file that opens offline and loads nothing.

The file holds its styles and its drawings; a content security policy in it forbids scripts and
whatever would come from outside. Neither TensorFlow nor Beam is loaded, so that a run whose stages
are all cached still ends within seconds.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...components.base.component import Component
from ...components.io import filesystem
from ..charts import palette
from ..charts.svg import number
from . import data, evaluation, lineage, serving, training, wrong_answers
from .outputs import NOT_REACHED, Outputs, guarded, plain

if TYPE_CHECKING:
    from ..methods.method import Method

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
FILE = "report.html"
OPTIONS = {
    "Transform": "transform_options",
    "Trainer": "trainer_options",
    "Evaluator": "evaluator_options",
    "Exporter": "exporter_options",
}


def render_report(run: Mapping[str, Any], root: str, method: Method | None = None) -> str:
    """Writes `runs/<run id>/report.html` of a run that is complete, failed or stopped.

    Args:
        run: the `run.json` document.
        root: the pipeline root; artifacts are found by the document's paths below it.
        method: the registered method, for its samples, figures and slices; `None` shows
            the data without them.

    Returns:
        The path of the report.

    Example:
        >>> render_report(run, "/data/root", method)  # doctest: +SKIP
        '/data/root/runs/20261122-0443-7f3a/report.html'
    """
    text = report_html(run, root, method)
    path = filesystem.join(root, "runs", run["run_id"], FILE)
    filesystem.make_dirs(os.path.dirname(path))
    with filesystem.open_file(path, "w") as writer:
        writer.write(text)
    return path


def report_html(run: Mapping[str, Any], root: str, method: Method | None = None) -> str:
    """Returns the report as text; see `render_report`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    outputs = Outputs(run, root)
    measured = guarded(lambda: evaluation.evaluation(outputs, method))
    view = {
        "run": run,
        "palette": palette.css(),
        "head": _head(run, root, method, measured),
        "stages": _stages(run, method),
        "statistics": guarded(lambda: data.statistics(outputs)),
        "anomalies": guarded(lambda: data.anomalies(outputs)),
        "dead_letters": guarded(lambda: data.dead_letters(outputs)),
        "samples": guarded(lambda: data.samples(outputs, method)),
        "training": guarded(lambda: training.training(outputs, method)),
        "evaluation": measured,
        "wrong": guarded(lambda: wrong_answers.wrong_answers(outputs, method)),
        "serving": guarded(lambda: serving.serving(outputs)),
        "lineage": guarded(lambda: _lineage(run)),
        "not_reached": NOT_REACHED,
    }
    return environment.get_template("report.html").render(view)


def _head(
    run: Mapping[str, Any], root: str, method: Any, measured: Mapping[str, Any]
) -> dict[str, Any]:
    paper = getattr(method, "paper", "") or ""
    match = re.search(r"\b(?:arXiv[: ]*)?(\d{4}\.\d{4,5})\b", paper)
    parts = (paper[: match.start()], match.group(), paper[match.end() :]) if match else (paper,)
    versions = run.get("versions") or {}
    facts = [
        ("started", _when(run.get("started"))),
        ("took", duration(run.get("seconds"))),
        ("data", " ".join(filter(None, [run.get("source"), run.get("data_dir")]))),
        ("root", root if filesystem.is_remote(root) else os.path.abspath(root)),
        ("machine", _machine(run.get("machine") or {})),
        ("versions", " · ".join(f"{name} {plain(value)}" for name, value in versions.items())),
    ]
    pushed = (run.get("paths") or {}).get("pushed_model")
    if pushed:
        facts.insert(3, ("pushed", pushed))
    badges = [
        {"name": name, "text": _verdict(verdict), "tone": _tone(verdict)}
        for name, verdict in (run.get("verdicts") or {}).items()
        if verdict is not None
    ]
    return {
        "title": run.get("title") or getattr(method, "title", "") or run.get("method") or "",
        "paper": parts,
        "paper_url": f"https://arxiv.org/abs/{match.group(1)}" if match else "",
        "badges": badges,
        "state_tone": {"complete": "good", "stopped": "warn"}.get(run.get("state", ""), "bad"),
        "facts": [(name, value) for name, value in facts if value],
        "metric": evaluation.headline(measured),
        "command": _command(run.get("command")),
        "error": run.get("error"),
    }


def _stages(run: Mapping[str, Any], method: Any) -> list[dict[str, Any]]:
    stages = run.get("stages") or []
    total = sum(stage.get("seconds") or 0 for stage in stages) or 1
    before, rows = 0.0, []
    for stage in stages:
        seconds = stage.get("seconds") or 0
        reached = stage["state"] != "skipped"
        rows.append(
            {
                **stage,
                "shown_state": stage["state"] if reached else NOT_REACHED,
                "tone": _tone(stage.get("verdict"))
                or {"failed": "bad", "stopped": "warn", "done": "good"}.get(stage["state"], ""),
                "verdict": _verdict(stage.get("verdict")),
                "reached": reached,
                "time": duration(seconds) if reached else "",
                "start": 100 * before / total,
                "width": 100 * seconds / total,
                "changed": _changed(stage, run, method),
                "summary": stage.get("summary") or "",
                "reason": stage.get("reason") or "",
                "counters": {
                    name: number(value) if isinstance(value, (int, float)) else plain(value)
                    for name, value in (stage.get("counters") or {}).items()
                },
            }
        )
        before += seconds
    return rows


def _changed(stage: Mapping[str, Any], run: Mapping[str, Any], method: Any) -> list[dict[str, str]]:
    """Returns the parameters that differ from their defaults, all where no default is known."""
    defaults = _defaults(stage["component"], run, method)
    return [
        {
            "name": name,
            "value": plain(value),
            "default": plain(defaults[name]) if name in defaults else "",
        }
        for name, value in (stage.get("parameters") or {}).items()
        if name not in defaults or defaults[name] != value
    ]


def _defaults(component: str, run: Mapping[str, Any], method: Any) -> dict[str, Any]:
    from ..run.build import COMPONENTS

    options: Any = getattr(method, OPTIONS.get(component, ""), None)
    if component == "ExampleGen":
        source = (getattr(method, "sources", None) or {}).get(run.get("source"))
        options = getattr(source, "options", None)
    kind = next((kind for kind in COMPONENTS if kind.__name__ == component), Component)
    fields = {**kind.Parameters.model_fields, **getattr(options, "model_fields", {})}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }
    # As in run.json, where a tuple is a list.
    return json.loads(json.dumps(defaults, default=str))


def _lineage(run: Mapping[str, Any]) -> dict[str, Any]:
    stages = run.get("stages") or []
    return {
        "svg": lineage.lineage_graph(stages),
        "edges": lineage.edges(stages),
    }


def _verdict(verdict: str | None) -> str:
    return (verdict or "").replace("_", " ")


def _tone(verdict: str | None) -> str:
    if not verdict:
        return ""
    return "bad" if "NOT" in verdict.upper() else "good"


def _machine(machine: Mapping[str, Any]) -> str:
    units = {"cores": "{} cores", "memory_gib": "{} GiB memory"}
    return " · ".join(
        units.get(name, "{}").format(plain(value))
        for name, value in machine.items()
        if value is not None
    )


def _command(command: Any) -> str:
    return shlex.join(command) if isinstance(command, (list, tuple)) else str(command or "")


def _when(text: Any) -> str:
    try:
        return datetime.datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    except ValueError:
        return str(text or "")


def duration(seconds: float | None) -> str:
    """Returns seconds as people read them: `0.4 s`, `58.0 s`, `4 min 05 s`, `2 h 01 min`."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
