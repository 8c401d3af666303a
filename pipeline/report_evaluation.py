"""The report's evaluation section: metrics by slice beside the paper, thresholds, wrong answers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from ..components.artifacts import ModelEvaluation
from .charts import bar, number
from .report_outputs import Outputs, json_rows, plain

ROWS = 100_000
WRONG = 30
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
FORBIDDEN = frozenset("script iframe object embed link base form input meta foreignobject".split())


def evaluation(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the tables of metrics beside the paper's columns and the last blessed model."""
    artifact = outputs.artifact("Evaluator", "evaluation", ModelEvaluation)
    if artifact is None:
        return {}
    found = artifact.read_json("evaluation.json")
    higher = getattr(method, "higher_is_better", True)
    main = found.get("main") or next(iter(found.get("metrics") or {}), "")
    paper = found.get("paper") or []
    baseline = found.get("baseline") or {}
    columns = list(dict.fromkeys(figure["column"] for figure in paper if figure["metric"] == main))
    column = found.get("column")
    before = {_key(row["slice"]): row["metrics"] for row in baseline.get("slices") or ()}
    before[()] = baseline.get("metrics") or {}

    values = [row["metrics"].get(main) for row in found.get("slices") or ()]
    values += [found.get("metrics", {}).get(main)]
    values += [figure["value"] for figure in paper if figure["metric"] == main]
    maximum = _maximum([value for value in values if value is not None])

    def line(keys: Mapping[str, str], count: int, metrics: Mapping[str, float]) -> dict[str, Any]:
        key, value = _key(keys), metrics.get(main)
        theirs = {
            figure["column"]: figure["value"]
            for figure in paper
            if figure["metric"] == main and _key(figure.get("slice") or {}) == key
        }
        reference, last = theirs.get(column), before.get(key, {}).get(main)
        label = " · ".join(f"{name} {keys[name]}" for name in keys) or "all"
        title = f"{label}: {number(value)}" + (
            f", paper {number(reference)}" if reference is not None else ""
        )
        return {
            "label": label,
            "count": number(count),
            "value": number(value),
            "bar": bar(value, maximum, title, reference=reference),
            "paper": [number(theirs[name]) if name in theirs else "–" for name in columns],
            "delta_paper": delta(value, reference, higher),
            "last": number(last),
            "delta_last": delta(value, last, higher),
            "others": {name: number(metrics.get(name)) for name in found.get("metrics") or {}},
        }

    tables: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(found.get("slices") or (), key=lambda row: _natural(row["slice"])):
        if row["slice"]:
            made = line(row["slice"], row.get("count") or 0, row["metrics"])
            tables.setdefault(tuple(row["slice"]), []).append(made)
    overall = line({}, found.get("examples") or 0, found.get("metrics") or {})
    return {
        "split": found.get("split"),
        "examples": number(found.get("examples") or 0),
        "main": main,
        "unit": (found.get("units") or {}).get(main, ""),
        "units": found.get("units") or {},
        "metrics": list(found.get("metrics") or {}),
        "columns": columns,
        "column": column if column in columns else None,
        "overall": overall,
        "tables": [{"by": ", ".join(by), "rows": rows} for by, rows in tables.items()],
        "others": _other_figures(found, main),
        "remarks": list(
            dict.fromkeys(figure["remark"] for figure in paper if figure.get("remark"))
        ),
        "thresholds": found.get("thresholds") or [],
        "baseline": bool(baseline),
        "baseline_uri": baseline.get("uri"),
        "blessed": found.get("blessed"),
    }


def headline(run: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the main metric beside the paper and the last blessed model, or `None`."""
    if not section or "problem" in section or section["overall"]["value"] == "–":
        return None
    overall, column = section["overall"], section["column"]
    paper = overall["paper"][section["columns"].index(column)] if column else None
    return {
        "name": section["main"],
        "unit": section["unit"],
        "value": overall["value"],
        "split": section["split"],
        "paper": None if paper == "–" else paper,
        "column": column,
        "delta_paper": overall["delta_paper"],
        "last": overall["last"] if section["baseline"] else None,
        "delta_last": overall["delta_last"],
        "worst": _worst(section),
    }


def wrong_answers(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the method's figures and a table of the worst examples, spread over the slices."""
    artifact = outputs.artifact("Evaluator", "evaluation", ModelEvaluation)
    if artifact is None:
        return {}
    found = artifact.read_json("evaluation.json")
    main = found.get("main", "")
    rows = list(json_rows(artifact.path("examples.jsonl"), ROWS))
    by = [name for name in getattr(method, "slices", ()) or ()]
    wrong, right = split_rows(rows, main, getattr(method, "higher_is_better", True), by[:1])
    figures, problem = [], None
    draw = getattr(method, "figures", None)
    if draw is not None and rows:
        try:
            for title, text in draw([*wrong, *right]).items():
                objection = unsafe(text)
                figures.append({"title": title, "svg": "" if objection else text})
                if objection:
                    figures[-1]["problem"] = objection
        except Exception as error:  # A drawing that fails must not cost the run its report.
            problem = f"{type(error).__name__}: {error}"
    shown = [
        {
            "slice": " · ".join(f"{name} {row[name]}" for name in by if name in row),
            "value": number(row[main]) if isinstance(row.get(main), (int, float)) else "",
            "details": {
                str(key): plain(value, 300)
                for key, value in _details(row).items()
                if len(plain(value, 1200)) < 1200
            },
        }
        for row in wrong[:WRONG]
        if row.get("details")
    ]
    return {
        "main": main,
        "wrong": number(len(wrong)),
        "examples": number(len(rows)),
        "share": f"{100 * len(wrong) / len(rows):.1f} %" if rows else "–",
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
    graded = [row for row in rows if isinstance(row.get(main), (int, float))]
    values = [row[main] * sign for row in graded]
    best = max(values, default=0.0)
    if higher_is_better and best <= 0:
        best = float("inf")
    wrong = [row for row in graded if row[main] * sign < best]
    wrong_ids = {id(row) for row in wrong}
    right = [row for row in rows if id(row) not in wrong_ids]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(wrong, key=lambda row: row[main] * sign):
        groups.setdefault(tuple(str(row.get(name)) for name in by), []).append(row)
    ordered = [groups[key] for key in sorted(groups, key=lambda key: [_parts(text) for text in key])]
    turns = itertools.zip_longest(*ordered)
    return [row for turn in turns for row in turn if row is not None], right


def delta(value: float | None, reference: float | None, higher_is_better: bool) -> dict[str, str]:
    """Returns how a value differs from a reference: `{"text": "+0.012", "tone": "good"}`."""
    if value is None or reference is None:
        return {"text": "", "tone": ""}
    difference = value - reference
    size = max(abs(value), abs(reference))
    if abs(difference) <= 5e-4 * size:
        return {"text": "±0", "tone": ""}
    good = (difference > 0) == higher_is_better
    sign = "+" if difference > 0 else "−"
    return {"text": f"{sign}{number(abs(difference))}", "tone": "good" if good else "bad"}


def unsafe(text: str) -> str | None:
    """Returns why a figure must not stand in the report as it is, or `None`.

    A figure is markup that the method made. It may hold no scripts, no event handlers, nothing
    that is loaded from elsewhere, and every tag must be closed.
    """
    checker = _Checker()
    checker.feed(text)
    checker.close()
    if checker.problem is None and checker.open:
        return f"the tag <{checker.open[-1]}> is not closed"
    return checker.problem


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problem: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problem = self.problem or f"the tag </{tag}> closes nothing"

    def _check(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in FORBIDDEN:
            self.problem = self.problem or f"it holds a <{tag}>"
        for name, value in attrs:
            held = (value or "").strip().lower()
            loads = name in ("src", "href", "xlink:href", "action", "srcset", "data")
            if name.startswith("on") or (loads and not held.startswith(("#", "data:image/"))):
                self.problem = self.problem or f"it holds the attribute {name}={value!r}"
            elif "url(" in held and not re.fullmatch(r".*url\(['\"]?#[^)]*\).*", held, re.DOTALL):
                self.problem = self.problem or f"it loads {value!r}"


def _other_figures(found: Mapping[str, Any], main: str) -> list[dict[str, Any]]:
    rows = []
    for figure in found.get("paper") or ():
        if figure["metric"] != main and figure["metric"] in (found.get("metrics") or {}):
            key = _key(figure.get("slice") or {})
            ours = next(
                (
                    row["metrics"].get(figure["metric"])
                    for row in found.get("slices") or ()
                    if _key(row["slice"]) == key
                ),
                found["metrics"].get(figure["metric"]) if not key else None,
            )
            label = " · ".join(f"{name} {value}" for name, value in key) or "all"
            rows.append(
                {
                    "metric": figure["metric"],
                    "slice": label,
                    "ours": number(ours),
                    "paper": number(figure["value"]),
                    "column": figure["column"],
                    "remark": figure.get("remark", ""),
                }
            )
    return rows


def _worst(section: Mapping[str, Any]) -> dict[str, str] | None:
    rows = [row for table in section["tables"] for row in table["rows"]]
    behind = [row for row in rows if row["delta_paper"]["tone"] == "bad"]
    if not behind:
        return None
    worst = max(behind, key=lambda row: float(row["delta_paper"]["text"][1:].replace(",", "")))
    return {"label": worst["label"], "value": worst["value"], "text": worst["delta_paper"]["text"]}


def _details(row: Mapping[str, Any]) -> Mapping[str, Any]:
    details = row.get("details")
    return details if isinstance(details, Mapping) else {"details": details}


def _maximum(values: Sequence[float]) -> float:
    top = max(values, default=1.0)
    return 1.0 if top <= 1 else 100.0 if top <= 100 else top


def _key(keys: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in keys.items()))


def _parts(text: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]


def _natural(keys: Mapping[str, str]) -> list[Any]:
    return [(name, _parts(str(value))) for name, value in keys.items()]
