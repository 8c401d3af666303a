"""The report's wrong answers: the method's figures, and the worst examples as text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from ..components.artifacts import ModelEvaluation
from .charts import number
from .report_evaluation import parts
from .report_outputs import Outputs, json_rows, plain

ROWS = 50_000
WRONG = 30
VOID = frozenset(("area", "br", "col", "hr", "img", "wbr"))
ACTIVE = frozenset(("embed", "foreignobject", "form", "iframe", "input", "object", "script"))
LOADING = frozenset(("base", "link", "meta"))


def wrong_answers(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns the method's figures and a table of the worst examples, spread over the slices."""
    artifact = outputs.artifact("Evaluator", "evaluation", ModelEvaluation)
    if artifact is None:
        return {}
    found = artifact.read_json("evaluation.json")
    main = found.get("main", "")
    rows = list(json_rows(artifact.path("examples.jsonl"), ROWS))
    by = list(getattr(method, "slices", ()) or ())
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
                if not _nested(value)
            },
        }
        for row in wrong[:WRONG]
        if row.get("details")
    ]
    return {
        "main": main,
        "wrong": number(len(wrong)),
        "examples": number(len(rows)),
        "all": len(rows) == (found.get("examples") or len(rows)),
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
    ordered = [groups[key] for key in sorted(groups, key=lambda key: [parts(text) for text in key])]
    turns = itertools.zip_longest(*ordered)
    return [row for turn in turns for row in turn if row is not None], right


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
        if tag in ACTIVE | LOADING:
            self.problem = self.problem or f"it holds a <{tag}>"
        for name, value in attrs:
            held = (value or "").strip().lower()
            loads = name in ("src", "href", "xlink:href", "action", "srcset", "data")
            if name.startswith("on") or (loads and not held.startswith(("#", "data:image/"))):
                self.problem = self.problem or f"it holds the attribute {name}={value!r}"
            elif "url(" in held and not re.fullmatch(r".*url\(['\"]?#[^)]*\).*", held, re.DOTALL):
                self.problem = self.problem or f"it loads {value!r}"


def _details(row: Mapping[str, Any]) -> Mapping[str, Any]:
    details = row.get("details")
    return details if isinstance(details, Mapping) else {"details": details}


def _nested(value: Any) -> bool:
    """Whether a value is a table, which belongs into a figure."""
    return isinstance(value, list) and any(isinstance(entry, (list, dict)) for entry in value)
