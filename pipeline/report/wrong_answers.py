"""The report's wrong answers: the method's figures, and the worst examples as text."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ModelEvaluation
from ...components.base.natural_sort import natural_key
from ..charts.svg import number
from .figures import checked_figures, is_picture
from .outputs import Outputs, json_rows, plain

ROWS = 50_000
WRONG = 30


def wrong_answers(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the method's figures and a table of the worst examples, spread over the slices."""
    artifact = outputs.artifact("Evaluator", "evaluation", ModelEvaluation)
    if artifact is None:
        return {}
    evaluation = artifact.read_json("evaluation.json")
    main = evaluation.get("main", "")
    rows = list(json_rows(artifact.path("examples.jsonl"), ROWS))
    by = list(getattr(method, "slices", ()) or ())
    higher = evaluation.get("higher_is_better", True)
    wrong, right = split_rows(rows, main, higher, by[:1])
    graded = sum(_value(row, main) is not None for row in rows)
    figures, problem = [], None
    draw = method and getattr(method.role("figures"), "evaluation_figures", None)
    if draw and rows:
        try:
            figures = checked_figures(draw([*wrong, *right]))
        except Exception as error:  # A drawing that fails must not cost the run its report.
            problem = f"{type(error).__name__}: {error}"
    shown = [
        {
            "slice": " · ".join(f"{name} {row[name]}" for name in by if row.get(name) is not None),
            "value": "" if _value(row, main) is None else number(_value(row, main)),
            "details": {
                str(key): plain(value, 300)
                for key, value in _details(row).items()
                if not (_nested(value) or is_picture(value))
            },
        }
        for row in wrong[:WRONG]
        if row.get("details")
    ]
    return {
        "main": main,
        "higher_is_better": higher,
        "wrong": number(len(wrong)),
        "examples": number(graded),
        "all": len(rows) == (evaluation.get("rows") or evaluation.get("examples") or len(rows)),
        "share": f"{100 * len(wrong) / graded:.1f} %" if graded else "–",
        "figures": figures,
        "figures_problem": problem,
        "shown": shown,
    }


def split_rows(
    rows: Sequence[dict[str, Any]], main: str, higher_is_better: bool, by: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Splits evaluation rows in wrong ones, the worst first and the slices in turn, and the rest.

    Right is a row that has the best value of the main metric that any row has, or the value 0
    where lower is better. Where the best is 0 and higher is better, no row is right.

    Args:
        rows: rows of `examples.jsonl`.
        main: the main metric's name.
        higher_is_better: whether larger values of it are better.
        by: names of the slice by which the rows take turns.
    """
    sign = 1.0 if higher_is_better else -1.0
    graded = {id(row): value * sign for row in rows if (value := _value(row, main)) is not None}
    values = list(graded.values())
    best = max(values, default=0.0)
    if higher_is_better and best <= 0:
        best = float("inf")
    wrong = [row for row in rows if id(row) in graded and graded[id(row)] < best]
    wrong_ids = {id(row) for row in wrong}
    right = [row for row in rows if id(row) not in wrong_ids]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(wrong, key=lambda row: graded[id(row)]):
        groups.setdefault(tuple(str(row.get(name)) for name in by), []).append(row)
    ordered = [
        groups[key] for key in sorted(groups, key=lambda key: [natural_key(text) for text in key])
    ]
    turns = itertools.zip_longest(*ordered)
    return [row for turn in turns for row in turn if row is not None], right


def _value(row: Mapping[str, Any], main: str) -> float | None:
    """Returns the main metric of a row: a number, or the mean of a pair of mean and count."""
    value = row.get(main)
    if isinstance(value, list) and len(value) == 2:
        value = value[0]
    return value if isinstance(value, (int, float)) else None


def _details(row: Mapping[str, Any]) -> Mapping[str, Any]:
    details = row.get("details")
    return details if isinstance(details, Mapping) else {"details": details}


def _nested(value: Any) -> bool:
    """Whether a value is a table, which belongs into a figure."""
    return isinstance(value, list) and any(isinstance(entry, (list, dict)) for entry in value)
