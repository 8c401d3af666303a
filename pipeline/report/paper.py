"""The paper's numbers beside those of a run."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A number that the paper reports.

    Args:
        metric: name of our metric it stands beside.
        value: the number, in our metric's unit.
        column: the variant in the paper, for example `AM+NG+NL`.
        slice: the slice it belongs to, for example `{"task": "1"}`; empty for the overall number.
        remark: what differs (data, scale), shown beside it.
        measured_at: the Evaluator's parameters with which the paper measured it, for example
            `{"far": 0.001}`; ours stands beside it only where they are the same.
    """

    metric: str
    value: float
    column: str
    slice: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remark: str = ""
    measured_at: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def compared(
    paper: Any, evaluation: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns an evaluation with the paper's numbers beside ours.

    Args:
        paper: the method's module `paper`: `FIGURES`, and maybe `column(trainer_parameters)`, which
            names the paper's variant that the run is compared with.
        evaluation: content of `evaluation.json`.
        parameters: values by name, of the components `Trainer` and `Evaluator`.

    Returns:
        `evaluation` with `column`, the variant's name or `None`, and `paper`: for each figure a
        dict with `metric`, `value`, `column`, `slice`, `remark`, `comparable` and `ours`, which is
        `None` where we have no such slice or measured with other parameters (`remark` then says
        with which).
    """
    column = getattr(paper, "column", None)
    trained = types.SimpleNamespace(**parameters.get("Trainer", {}))
    by_slice = {_key(row["slice"]): row["metrics"] for row in evaluation["slices"]}
    sliced = evaluation["mean_over_slices"]
    by_slice[()] = sliced["metrics"] if sliced else evaluation["metrics"]
    figures = getattr(paper, "FIGURES", ())
    return {
        **evaluation,
        "column": column(trained) if column is not None else None,
        "paper": [
            _beside(figure, figures, by_slice, parameters.get("Evaluator", {}))
            for figure in figures
        ],
    }


def parameters_of(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the parameters of a run's stages by component.

    Args:
        run: the `run.json` document.
    """
    return {stage["component"]: stage.get("parameters") or {} for stage in run.get("stages") or ()}


def comparable(evaluation: Mapping[str, Any]) -> float | None:
    """Returns the paper's number that stands beside the main figure, if there is one."""
    return next(
        (
            figure["value"]
            for figure in evaluation["paper"]
            if figure["column"] == evaluation["column"]
            and figure["metric"] == evaluation["main"]
            and not figure["slice"]
            and figure["comparable"]
        ),
        None,
    )


def _beside(
    figure: PaperFigure,
    figures: Sequence[PaperFigure],
    by_slice: Mapping[tuple[tuple[str, str], ...], Mapping[str, Any]],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    figure = _over_our_slices(figure, figures, by_slice)
    otherwise = _measured_otherwise(figure, parameters)
    ours = by_slice.get(_key(figure.slice), {}).get(figure.metric)
    return {
        "metric": figure.metric,
        "value": figure.value,
        "column": figure.column,
        "slice": dict(figure.slice),
        "remark": "; ".join(filter(None, [figure.remark, otherwise])),
        "comparable": not otherwise,
        "ours": None if otherwise else ours,
    }


def _measured_otherwise(figure: PaperFigure, parameters: Mapping[str, Any]) -> str:
    """Says with which parameters a figure was measured, if not with ours."""
    ours = {name: parameters.get(name) for name in figure.measured_at}
    if ours == figure.measured_at:
        return ""
    theirs = ", ".join(f"{name} {value}" for name, value in figure.measured_at.items())
    return f"measured at {theirs}, ours at {', '.join(map(str, ours.values()))}"


def _over_our_slices(
    figure: PaperFigure,
    figures: Sequence[PaperFigure],
    by_slice: Mapping[tuple[tuple[str, str], ...], Any],
) -> PaperFigure:
    """Returns an overall figure as the paper's mean over the slices that were evaluated here."""
    if figure.slice:
        return figure
    sliced = [
        part
        for part in figures
        if part.slice and (part.metric, part.column) == (figure.metric, figure.column)
    ]
    shared = [part.value for part in sliced if _key(part.slice) in by_slice]
    if not shared or len(shared) == len(sliced):
        return figure
    return dataclasses.replace(
        figure,
        value=sum(shared) / len(shared),
        remark=f"mean over the {len(shared)} of the paper's {len(sliced)} slices evaluated here",
    )


def _key(names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in names.items()))
