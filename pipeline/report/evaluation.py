"""The report's evaluation section: metrics by slice beside the paper and the last blessed model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ModelEvaluation
from ...components.base.natural_sort import natural_key
from ...components.evaluator.component import PLOTTED, measured_examples
from ...components.io import filesystem
from ..charts.bars import bar
from ..charts.svg import number
from .figures import checked_figures, drawn_figures
from .outputs import Outputs
from .paper import compared, parameters_of

ALL = "all"
NO_DELTA: Mapping[str, Any] = {"text": "", "tone": "", "size": 0.0}


def evaluation(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the tables of metrics beside the paper's columns and the last blessed model."""
    artifact = outputs.artifact("Evaluator", "evaluation", ModelEvaluation)
    if artifact is None:
        return {}
    record = artifact.read_json("evaluation.json")
    if method is not None:
        record = compared(method.role("paper"), record, parameters_of(outputs.run))
    higher = record.get("higher_is_better", True)
    main = record.get("main") or next(iter(record.get("metrics") or {}), "")
    paper = record.get("paper") or []
    baseline = record.get("baseline") or {}
    beside = [figure for figure in paper if figure["metric"] == main and _comparable(figure)]
    columns = list(dict.fromkeys(figure["column"] for figure in beside))
    examples = measured_examples(record)
    column = record.get("column")
    sliced, sliced_before = record.get("mean_over_slices"), baseline.get("mean_over_slices")
    before = {_key(row["slice"]): row["metrics"] for row in baseline.get("slices") or ()}
    before[()] = (sliced_before or {}).get("metrics") or baseline.get("metrics") or {}
    total = (sliced or {}).get("metrics") or record.get("metrics") or {}

    baselines = [metric.name for metric in getattr(method, "metrics", ()) if metric.baseline]
    theirs_all = [figure["value"] for figure in beside]
    values = [row["metrics"].get(main) for row in record.get("slices") or ()]
    values += [total.get(main)]
    values += theirs_all
    maximum = _maximum([value for value in values if value is not None])
    show, show_paper = _shower(maximum), _shower(maximum, theirs_all)

    def line(keys: Mapping[str, str], count: int, metrics: Mapping[str, float]) -> dict[str, Any]:
        key, value = _key(keys), metrics.get(main)
        theirs = {
            figure["column"]: figure["value"]
            for figure in beside
            if _key(figure.get("slice") or {}) == key
        }
        reference, last = theirs.get(column), before.get(key, {}).get(main)
        label = _label(keys)
        title = f"{label}: {show(value)}" + (
            f", paper {show(reference)}" if reference is not None else ""
        )
        return {
            "label": label,
            "count": number(count),
            "value": show(value),
            "bar": bar(value, maximum, title, reference=reference),
            "paper": [show_paper(theirs.get(name)) for name in columns],
            "delta_paper": delta(value, reference, higher, show),
            "last": show(last),
            "delta_last": delta(value, last, higher, show),
            "measured": {name for name, value in metrics.items() if value is not None},
            "others": {name: number(metrics.get(name)) for name in record.get("metrics") or {}},
        }

    tables: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(record.get("slices") or (), key=lambda row: _natural(row["slice"])):
        if row["slice"]:
            count = row.get("counts", {}).get(main, row.get("count") or 0)
            entry = line(row["slice"], count, row["metrics"])
            tables.setdefault(tuple(row["slice"]), []).append(entry)
    overall = line({}, examples, total)
    totals = [overall]
    if sliced:
        deviation = sliced.get("standard_deviation", {}).get(main)
        overall["label"] = (
            "mean" if deviation is None else f"mean (standard deviation {show(deviation)})"
        )
        every = line({}, examples, record["metrics"])
        comparable = {
            "paper": ["–"] * len(columns),
            "delta_paper": NO_DELTA,
            "delta_last": NO_DELTA,
        }
        totals.insert(0, {**every, **comparable, "label": ALL, "last": "–"})
        totals[0]["bar"] = bar(record["metrics"].get(main), maximum, f"all: {every['value']}")
    return {
        "split": record.get("split"),
        "examples": number(examples),
        "main": main,
        "unit": (record.get("units") or {}).get(main, ""),
        "units": record.get("units") or {},
        "metrics": [
            name for name, value in (record.get("metrics") or {}).items() if value is not None
        ],
        "columns": columns,
        "column": column if column in columns else None,
        "overall": overall,
        "totals": totals,
        "baselines": [
            {
                "name": name,
                "unit": (record.get("units") or {}).get(name, ""),
                "value": show(total.get(name)),
                "delta": delta(total.get(main), total.get(name), higher, show),
            }
            for name in baselines
            if total.get(name) is not None
        ],
        "mean_over": (sliced or {}).get("slice"),
        "label": record.get("main_label") or main,
        "tables": [
            {"by": ", ".join(by), "rows": rows}
            for by, rows in tables.items()
            if any(main in row["measured"] for row in rows)
        ],
        "further": [
            _further(", ".join(by), rows, record.get("metrics") or {})
            for by, rows in tables.items()
            if not any(main in row["measured"] for row in rows)
        ],
        "rows": [row for rows in tables.values() for row in rows],
        "others": _other_figures(record, main),
        "remarks": _remarks(beside),
        "thresholds": record.get("thresholds") or [],
        "baseline": bool(baseline),
        "baseline_uri": baseline.get("uri"),
        **_plots(artifact, record, method),
    }


def _plots(artifact: ModelEvaluation, record: Mapping[str, Any], method: Any) -> dict[str, Any]:
    """Returns the method's drawings of its models and of the measures of sets."""
    if not filesystem.exists(artifact.path(PLOTTED)):
        # Roots of version 0.1 have the figures as the Evaluator drew them.
        return {"figures": drawn_figures(artifact, "figures.json")}
    figures: dict[str, str] = {}
    if method is not None:
        drawing = method.role("figures")
        figures |= drawing.plot(artifact.read_json(PLOTTED))
        measure_figures = getattr(drawing, "measure_figures", None)
        if measure_figures is not None:
            figures |= measure_figures(record["measures"])
    return {"figures": checked_figures(figures)}


def _further(
    by: str, rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the table of a kind of slices on which the main metric is not measured."""
    names = [name for name in metrics if any(name in row["measured"] for row in rows)]
    return {"by": by, "metrics": names, "rows": rows}


def headline(section: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the main metric beside the paper and the last blessed model, or `None`."""
    if not section or "problem" in section or section["overall"]["value"] == "–":
        return None
    overall, column = section["overall"], section["column"]
    paper = overall["paper"][section["columns"].index(column)] if column else None
    return {
        "name": section["label"],
        "unit": section["unit"],
        "value": overall["value"],
        "split": section["split"],
        "paper": None if paper == "–" else paper,
        "column": column,
        "delta_paper": overall["delta_paper"],
        "last": overall["last"] if section["baseline"] else None,
        "delta_last": overall["delta_last"],
        "baselines": section["baselines"],
        "worst": _worst(section),
    }


def delta(
    value: float | None,
    reference: float | None,
    higher_is_better: bool,
    show: Callable[[float], str] = number,
) -> Mapping[str, Any]:
    """Returns how a value differs from a reference.

    Args:
        value: ours.
        reference: what it is compared with.
        higher_is_better: whether larger values are better.
        show: writes a number.

    Returns:
        `{"text": "+0.012", "tone": "good", "size": 0.012}`; the text and the tone are empty where
        there is nothing to compare, and the tone where both are shown alike.
    """
    if value is None or reference is None:
        return NO_DELTA
    difference = value - reference
    if show(value) == show(reference) or show(abs(difference)) == show(0.0):
        return {"text": "±0", "tone": "", "size": 0.0}
    good = (difference > 0) == higher_is_better
    sign = "+" if difference > 0 else "−"
    return {
        "text": f"{sign}{show(abs(difference))}",
        "tone": "good" if good else "bad",
        "size": abs(difference),
    }


def _other_figures(record: Mapping[str, Any], main: str) -> list[dict[str, Any]]:
    return [
        {
            "metric": figure["metric"],
            "slice": _label(figure.get("slice") or {}),
            "ours": number(figure.get("ours") if _comparable(figure) else None),
            "paper": number(figure["value"]),
            "column": figure["column"],
            "remark": figure.get("remark", ""),
        }
        for figure in record.get("paper") or ()
        if figure["metric"] != main or not _comparable(figure)
    ]


def _comparable(figure: Mapping[str, Any]) -> bool:
    """Whether a figure was measured as ours was; evaluations of earlier versions do not say."""
    return bool(figure.get("comparable", True))


def _remarks(paper: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what the paper's numbers of a metric differ in, each with the slices it holds for."""
    slices: dict[str, dict[str, None]] = {}
    for figure in paper:
        if figure.get("remark"):
            label = _label(figure.get("slice") or {})
            slices.setdefault(figure["remark"], {})[label] = None
    return [f"{remark} ({', '.join(labels)})" for remark, labels in slices.items()]


def _label(keys: Mapping[str, str]) -> str:
    return " · ".join(f"{name} {value}" for name, value in keys.items()) or ALL


def _worst(section: Mapping[str, Any]) -> dict[str, str] | None:
    rows = [row for table in section["tables"] for row in table["rows"]]
    behind = [row for row in rows if row["delta_paper"]["tone"] == "bad"]
    if not behind:
        return None
    worst = max(behind, key=lambda row: row["delta_paper"]["size"])
    return {"label": worst["label"], "value": worst["value"], "text": worst["delta_paper"]["text"]}


def _maximum(values: Sequence[float]) -> float:
    top = max(values, default=1.0)
    return 1.0 if top <= 1 else 100.0 if top <= 100 else top


def _shower(maximum: float, values: Sequence[float] | None = None) -> Callable[[float | None], str]:
    """Returns a function that writes all numbers of a column with the same decimals.

    The decimals follow from the scale; given values get no more than they have themselves.
    """
    decimals = {1.0: 3, 100.0: 1}.get(maximum)
    if decimals is not None and values is not None:
        enough = (n for n in range(decimals) if all(round(v, n) == round(v, 9) for v in values))
        decimals = next(enough, decimals)

    def show(value: float | None) -> str:
        if decimals is None or value is None or not math.isfinite(value):
            return number(value)
        return f"{value:.{decimals}f}"

    return show


def _key(keys: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in keys.items()))


def _natural(keys: Mapping[str, str]) -> list[Any]:
    return [(name, natural_key(str(value))) for name, value in keys.items()]
