"""The report's training section: the method's own tables and figures, and a chart a fit."""

from __future__ import annotations

import csv
import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ModelRun
from ...components.io import filesystem
from ..charts.lines import line_chart
from ..charts.svg import number
from .figures import checked_figures, drawn_figures
from .outputs import Outputs, json_rows
from .paper import parameters_of
from .training_summary import TrainingSummary

EPOCH = "epoch"
VALIDATION = "val_"
WATCHED = "/"
"""Measures with a slash in their name come from callbacks that watch layers: many, and for the
method's own figures."""


def training(outputs: Outputs, method: Any = None) -> dict[str, Any]:
    """Returns small multiples: for each measure a chart a fit, its best epoch marked."""
    artifact = outputs.artifact("Trainer", "model_run", ModelRun)
    if artifact is None:
        return {}
    properties = (outputs.stages["Trainer"].get("properties") or {}).get("model") or {}
    best = properties.get("best") or {}
    logs = {
        name[: -len("/epochs.csv")]: _columns(artifact.path(*name.split("/")))
        for name in filesystem.walk(artifact.uri)
        if name.endswith("/epochs.csv")
    }
    order = {fit: index for index, fit in enumerate(properties.get("fits") or ())}
    fits = sorted(logs, key=lambda fit: (order.get(fit, len(order)), fit))
    measures = list(
        dict.fromkeys(
            name.removeprefix(VALIDATION)
            for fit in fits
            for name in logs[fit]
            if name != EPOCH and WATCHED not in name
        )
    )
    measures.sort(key=lambda name: (name != "loss", name == "learning_rate"))
    groups = [_group(measure, fits, logs, best) for measure in measures]
    return {
        "fits": len(fits),
        "epochs": [len(logs[fit].get(EPOCH, ())) for fit in fits],
        "groups": [group for group in groups if group["charts"]],
        **method_summary(outputs, method),
    }


def method_summary(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the `figures` and `tables` in which the method sums up all its fits.

    Args:
        outputs: those of the run.
        method: the registered method, or `None`.
    """
    artifact = outputs.artifact("Trainer", "model_run", ModelRun)
    if artifact is None:
        return {"figures": [], "tables": []}
    summarize = method and getattr(method.role("figures"), "training_summary", None)
    if "tables" in artifact.properties or not summarize:
        # Roots of version 0.1 have what the Trainer said of its fits.
        tables = artifact.properties.get("tables") or ()
        return {"figures": drawn_figures(artifact, "figures.json"), "tables": _tables(tables)}
    parameters = types.SimpleNamespace(**parameters_of(outputs.run)["Trainer"])
    logs = {
        fit: list(json_rows(artifact.path(fit, "epochs.jsonl")))
        for fit in artifact.properties["fits"]
    }
    summary: TrainingSummary = summarize(parameters, logs)
    return {
        "figures": checked_figures(summary.figures),
        "tables": _tables([dataclasses.asdict(table) for table in summary.tables]),
    }


def _tables(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**table, "rows": [[cell_text(cell) for cell in row] for row in table["rows"]]}
        for table in tables
    ]


def cell_text(cell: Any) -> str:
    """Returns a table's cell as text: numbers as people read them, nothing for `None`."""
    return "" if cell is None else cell if isinstance(cell, str) else number(cell)


def _group(measure: str, fits: list[str], logs: dict[str, Any], best: Any) -> dict[str, Any]:
    validation = f"{VALIDATION}{measure}"
    values = [
        value
        for fit in fits
        for name in (measure, validation)
        for value in logs[fit].get(name, ())
        if value is not None and math.isfinite(value)
    ]
    # A share has one natural axis, so that the fits can be compared at a glance.
    share = bool(values) and measure != "loss" and min(values) >= 0 and max(values) <= 1
    charts = []
    for fit in fits:
        lines = {name: logs[fit][name] for name in (measure, validation) if name in logs[fit]}
        if not lines:
            continue
        epochs = logs[fit].get(EPOCH) or [0]
        first = int(epochs[0] or 0)
        chosen = best.get(fit) if isinstance(best, dict) else None
        epoch = chosen.get("epoch") if isinstance(chosen, dict) else None
        last = next(reversed(lines.values()))
        shown = next((value for value in reversed(last) if value is not None), None)
        if epoch is not None and 0 <= epoch - 1 < len(last) and last[epoch - 1] is not None:
            shown = last[epoch - 1]
        charts.append(
            {
                "fit": fit,
                "value": number(shown),
                "epoch": epoch,
                "svg": line_chart(
                    lines,
                    f"{measure} of {fit} over the epochs",
                    y_range=(0.0, 1.0) if share and max(values) > 0.1 else None,
                    first_x=first if first > 0 else 1,
                    marked_x=epoch,
                ),
            }
        )
    both = any(validation in logs[fit] and measure in logs[fit] for fit in fits)
    return {"measure": measure, "both": both, "charts": charts}


def _columns(path: str) -> dict[str, list[float | None]]:
    with filesystem.open_file(path) as reader:
        rows = list(csv.DictReader(reader))
    names = list(rows[0]) if rows else []
    return {name: [_value(row.get(name)) for row in rows] for name in names}


def _value(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
