"""Evaluator: measures the trained models by slice, and blesses them or not."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pydantic

from ..base.artifacts import Examples, Model, ModelBlessing, ModelEvaluation, TransformGraph
from ..base.component import Component, ExecutionContext, Stop
from ..base.errors import BadDataError
from ..base.parameters import Parameters
from ..base.transformed_data import TransformedData
from ..io import filesystem
from .sliced_means import SlicedMeans

FIGURES = "figures.json"
"""Where `evaluation` has the figures that the method drew of its models, in their order."""

_REPORTED = 1000


class Evaluator(Component):
    """Measures the models on a split that they were not trained on.

    The method's `evaluate` yields a row an example; rows are written to `examples.jsonl` and added
    up as they come, so that memory does not grow with the number of examples. Where a row stands
    for several measurements its value is a pair of their mean and their number. For every metric,
    `evaluation.json` has

    - `metrics`: the mean over the examples, or the root mean square of the metrics that the method
      says are such; `null` for those of which it says that they have means in slices only;
    - `slices`: for every slice the mean over its examples, how many rows there are (`count`), and
      how many of them have a value of each metric (`counts`);
    - `mean_over_slices`: `{"slice": name, "metrics": …, "standard_deviation": …}` or `null`: the
      mean of the slices' means and their sample standard deviation, over the values of the *first*
      slice name. Where every slice is a task, this is what papers call the mean accuracy: each task
      counts the same, however many examples it has. Also `null` where the method says that its
      slices are not to be averaged.

    The main figure, by which the model is blessed and compared, is that of the main metric in
    `mean_over_slices` if there are slices, else in `metrics`. `main` names the metric, `main_value`
    is the figure, `main_label` what the screen calls it: `mean accuracy` or `accuracy`. `None` in a
    row, where a metric does not apply, is left out of the means; so is a value that is not finite,
    which `not_finite` counts. `rows` is the number of rows, `counts` for each metric how many of
    them have a value, and `examples` how many have the main metric.

    The model is blessed if every check under `thresholds` passed: `min_value` (where given) and
    `max_drop` (where there is an earlier blessed model as `baseline`). `baseline` is `null` where
    there is none. `paper` has all of the paper's figures, with `ours` beside each that has a slice
    and metric here. One that was measured with other parameters than the Evaluator's, as its
    `measured_at` has them, is not `comparable`: it has no `ours`, and its remark says why. `column`
    names the paper's variant that is comparable, or is `null`.

    Where the method has `draw`, `figures.json` has pairs of title and SVG text.
    """

    INPUTS: ClassVar = {
        "examples": Examples,
        "transformed_examples": Examples,
        "transform_graph": TransformGraph,
        "model": Model,
        "baseline": ModelEvaluation,
    }
    OPTIONAL_INPUTS: ClassVar = frozenset({"baseline"})
    OUTPUTS: ClassVar = {"evaluation": ModelEvaluation, "blessing": ModelBlessing}
    FUNCTIONS: ClassVar = {
        "evaluate": "evaluate(models, data, split, parameters) yields one dict an example",
        "draw": "draw(models, data, split, parameters) returns SVG texts by title",
        "metrics": "the metrics' names, each with its unit; the first is the main one",
        "higher_is_better": "whether larger values of the main metric are better",
        "evaluated_on": "what the rows are measured on, where that is no split",
        "root_mean_square": "metrics that are averaged as root mean squares",
        "only_sliced": "metrics of which only the means in slices say something",
        "slices": "names in the dicts by which metrics are sliced",
        "mean_over_slices": "whether the main figure is the mean over the first slice's values",
        "paper_figures": "the paper's numbers",
        "column": "column(Trainer's parameters) names the paper's column to compare with, or None",
    }
    OPTIONAL_FUNCTIONS: ClassVar = frozenset(
        {
            "draw",
            "evaluated_on",
            "higher_is_better",
            "root_mean_square",
            "only_sliced",
            "slices",
            "mean_over_slices",
            "paper_figures",
            "column",
        }
    )

    class Parameters(Parameters):
        """The Evaluator's own parameters.

        Args:
            split: the split to evaluate on; empty for `test` if there is one, else `eval`.
            min_value: bound that the main figure must reach: from below if higher is better,
                else from above. `None` for no bound.
            max_drop: how much worse than the last blessed model's the main figure may be.
        """

        split: str = ""
        min_value: float | None = None
        max_drop: float = pydantic.Field(default=0.02, ge=0)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Evaluates and writes the evaluation and the blessing."""
        inputs, functions = context.inputs, context.functions
        data = TransformedData(
            inputs["transformed_examples"], inputs["transform_graph"], inputs["examples"]
        )
        split = chosen_split(context.parameters.split, data.splits)
        means = SlicedMeans(
            functions["metrics"],
            functions.get("slices") or (),
            functions.get("root_mean_square") or (),
            functions.get("only_sliced") or (),
        )
        models = _evaluate(context, data, split, means)
        if not means.rows:
            raise BadDataError(
                f"`evaluate` must yield a row for each example. Received: none for the split "
                f"{split!r} with {data.splits[split]} examples"
            )
        found = _evaluation(context, split, means)
        blessed = found["blessed"]
        context.outputs["evaluation"].write_json("evaluation.json", found)
        draw = functions.get("draw")
        if draw is not None:
            context.progress(None, "drawing")
            figures = draw(models, data, split, context.parameters)
            pairs = [list(figure) for figure in figures.items()]
            context.outputs["evaluation"].write_json(FIGURES, pairs)
        context.outputs["evaluation"].properties.update(
            split=found["split"],
            blessed=blessed,
            main=found["main"],
            main_value=found["main_value"],
            metrics=found["metrics"],
            mean_over_slices=found["mean_over_slices"],
        )
        blessing = context.outputs["blessing"]
        blessing.properties["blessed"] = blessed
        name = "BLESSED" if blessed else "NOT_BLESSED"
        filesystem.open_file(blessing.path(name), "w").close()
        context.counters.update(_counters(found))
        context.summary = summary(found)
        if not blessed:
            failed = [check for check in found["thresholds"] if not check["passed"]]
            context.stop = Stop(
                "not_blessed",
                f"The model is not blessed: {'; '.join(check['detail'] for check in failed)}. "
                "Train it longer or otherwise, or set evaluator.min_value and evaluator.max_drop "
                "to what is acceptable.",
            )


def _counters(found: Mapping[str, Any]) -> dict[str, int]:
    counters = {"examples": found["examples"]}
    if found["rows"] != found["examples"]:
        counters["rows"] = found["rows"]
    if any(found["not_finite"].values()):
        counters["values not finite"] = sum(found["not_finite"].values())
    return counters


def chosen_split(wanted: str, splits: Mapping[str, int]) -> str:
    """Returns the split to evaluate on.

    Raises:
        ValueError: there is no such split.
        BadDataError: the split is empty.
    """
    split = wanted or ("test" if splits.get("test") else "eval")
    if split not in splits:
        raise ValueError(
            "`evaluator.split` must be one of the splits of the examples: "
            f"{', '.join(sorted(splits))}. Received: {split!r}"
        )
    if not splits[split]:
        raise BadDataError(
            f"The split {split!r} is empty: there is nothing to evaluate on. "
            f"Received: {dict(splits)}"
        )
    return split


def _evaluate(
    context: ExecutionContext, data: TransformedData, split: str, means: SlicedMeans
) -> Mapping[str, Any]:
    """Writes and adds up the rows; returns the models."""
    from ..base.model_loading import load_models

    models = load_models(context.inputs["model"])
    rows = context.functions["evaluate"](models, data, split, context.parameters)
    path = context.outputs["evaluation"].path("examples.jsonl")
    with filesystem.open_file(path, "w") as writer:
        for row in rows:
            means.add(row)
            writer.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
            if means.rows % _REPORTED == 0:
                # A row need not be an example of the split, so that their total is not known.
                context.progress(None, f"{means.rows:,} rows")
    return models


def _plain(value: Any) -> Any:
    """Turns NumPy numbers, arrays and bytes into JSON values; what is not finite into null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _evaluation(context: ExecutionContext, split: str, means: SlicedMeans) -> dict[str, Any]:
    functions = context.functions
    main = next(iter(functions["metrics"]))
    averaged = means.mean_over_slices() if functions.get("mean_over_slices", True) else None
    found: dict[str, Any] = {
        "split": functions.get("evaluated_on") or split,
        "examples": means.counts()[main],
        "rows": means.rows,
        "counts": means.counts(),
        "metrics": means.overall(),
        "units": dict(functions["metrics"]),
        "main": main,
        "higher_is_better": functions.get("higher_is_better", True),
        "mean_over_slices": averaged,
        "slices": means.slices(),
        "not_finite": dict(means.not_finite),
    }
    found["main_value"] = main_value(found)
    if found["main_value"] is None:
        raise ValueError(
            f"The main metric {main!r} must be a finite number in at least one row that "
            f"`evaluate` yields. Received: {means.rows - means.counts()[main]} rows without"
        )
    found["main_label"] = f"mean {main}" if found["mean_over_slices"] else main
    trained = types.SimpleNamespace(**context.inputs["model"].properties.get("parameters", {}))
    column = functions.get("column")
    found["column"] = column(trained) if column is not None else None
    figures = functions.get("paper_figures") or ()
    found["paper"] = _paper(figures, found, context.parameters)
    baseline = context.inputs.get("baseline")
    found["baseline"] = None if baseline is None else _baseline(baseline, found)
    found["thresholds"] = _thresholds(context.parameters, found)
    found["blessed"] = all(check["passed"] for check in found["thresholds"])
    return found


def main_value(found: Mapping[str, Any]) -> float | None:
    """Returns the main figure of an evaluation: over slices where there are some."""
    sliced = found.get("mean_over_slices")
    return (sliced["metrics"] if sliced else found["metrics"]).get(found["main"])


def measured_examples(found: Mapping[str, Any]) -> int:
    """Returns on how many examples the main metric of an evaluation was measured.

    An evaluation without `counts`, of an earlier version, has all rows as its `examples`.
    """
    examples: int = found.get("examples") or 0
    if "counts" in found:
        return examples
    without: int = (found.get("missing") or {}).get(found.get("main"), 0)
    return examples - without


def _paper(
    figures: Sequence[Any], found: Mapping[str, Any], parameters: Any
) -> list[dict[str, Any]]:
    """Returns the paper's figures, each beside ours.

    An overall figure is a mean over the paper's slices. Where we evaluated some of them only, it
    becomes the paper's mean over those, and the remark says so. A figure that was measured with
    other parameters has none of ours beside it.
    """
    by_slice = {_key(row["slice"]): row["metrics"] for row in found["slices"]}
    sliced = found["mean_over_slices"]
    by_slice[()] = sliced["metrics"] if sliced else found["metrics"]
    rows = []
    for figure in figures:
        compared = _over_our_slices(figure, figures, by_slice)
        other = _measured_otherwise(figure, parameters)
        ours = by_slice.get(_key(compared.slice), {}).get(compared.metric)
        rows.append(
            {
                "metric": compared.metric,
                "value": compared.value,
                "column": compared.column,
                "slice": dict(compared.slice),
                "remark": "; ".join(filter(None, [compared.remark, other])),
                "comparable": not other,
                "ours": None if other else ours,
            }
        )
    return rows


def _measured_otherwise(figure: Any, parameters: Any) -> str:
    """Says with which parameters a figure was measured, if not with ours."""
    wanted = dict(getattr(figure, "measured_at", None) or {})
    ours = {name: getattr(parameters, name) for name in wanted}
    if ours == wanted:
        return ""
    named = ", ".join(f"{name} {value}" for name, value in wanted.items())
    return f"measured at {named}, ours at {', '.join(map(str, ours.values()))}"


def _over_our_slices(
    figure: Any, figures: Sequence[Any], ours: Mapping[tuple[tuple[str, str], ...], Any]
) -> Any:
    if figure.slice:
        return figure
    sliced = [
        other
        for other in figures
        if other.slice and (other.metric, other.column) == (figure.metric, figure.column)
    ]
    shared = [other.value for other in sliced if _key(other.slice) in ours]
    if not shared or len(shared) == len(sliced):
        return figure
    return dataclasses.replace(
        figure,
        value=sum(shared) / len(shared),
        remark=f"mean over the {len(shared)} of the paper's {len(sliced)} slices evaluated here",
    )


def _key(names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in names.items()))


def _baseline(artifact: ModelEvaluation, found: Mapping[str, Any]) -> dict[str, Any] | None:
    before = artifact.read_json("evaluation.json")
    return {
        "metrics": before["metrics"],
        "mean_over_slices": before["mean_over_slices"],
        "slices": before["slices"],
        "main": before["main"],
        "main_value": before["main_value"],
        "split": before["split"],
        "uri": "/".join(artifact.uri.replace("\\", "/").rstrip("/").split("/")[-3:]),
    }


def _thresholds(parameters: Any, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    label, value = found["main_label"], found["main_value"]
    sign = 1.0 if found["higher_is_better"] else -1.0
    checks = []
    if parameters.min_value is not None:
        bound = parameters.min_value
        wanted = "at least" if sign > 0 else "at most"
        checks.append(
            {
                "check": "min_value",
                "passed": sign * value >= sign * bound,
                "detail": f"{label} {value:.4g} must be {wanted} {bound:.4g}",
            }
        )
    before = found["baseline"]
    if before is not None and before["main"] == found["main"] and before["main_value"] is not None:
        drop = sign * (before["main_value"] - value)
        detail = (
            f"{label} {value:.4g} may be at most {parameters.max_drop:.4g} worse than the last "
            f"blessed model's {before['main_value']:.4g}"
        )
        # A drop of exactly the bound must not fail by the last bit of a subtraction.
        passed = drop <= parameters.max_drop + 1e-12
        checks.append({"check": "max_drop", "passed": passed, "detail": detail})
    return checks


def summary(found: Mapping[str, Any]) -> str:
    """Returns the line for the screen: figure, paper, last blessed model, worst slice."""
    main, column = found["main"], found["column"]
    parts = [f"{found['main_label']} {found['main_value']:.3f}"]
    paper = [
        figure["value"]
        for figure in found["paper"]
        if figure["column"] == column
        and figure["metric"] == main
        and not figure["slice"]
        and figure["comparable"]
    ]
    if paper:
        parts.append(f"paper {paper[0]:.3f}")
    before = found["baseline"]
    if before is None:
        parts.append("no baseline yet")
    elif before["main"] != main or before["main_value"] is None:
        parts.append(f"last blessed model has no {main}")
    else:
        parts.append(f"last blessed {before['main_value']:.3f}")
    line = ", ".join(parts)
    sliced = found["mean_over_slices"]
    if sliced:
        rows = [
            row
            for row in found["slices"]
            if list(row["slice"]) == [sliced["slice"]] and row["metrics"][main] is not None
        ]
        pick = min if found["higher_is_better"] else max
        worst = pick(rows, key=lambda row: row["metrics"][main])
        name = sliced["slice"]
        line += f"   worst {name} {worst['slice'][name]}: {worst['metrics'][main]:.3g}"
    return line
