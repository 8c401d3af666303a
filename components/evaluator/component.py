"""Evaluator: measures the trained models by slice, and blesses them or not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pydantic

from ..base.artifacts import Examples, Model, ModelBlessing, ModelEvaluation, TransformGraph
from ..base.component import Component, ExecutionContext, Stop
from ..base.errors import BadDataError
from ..base.transformed_data import TransformedData
from ..io import filesystem
from .metric import Plotted, SetMeasure
from .sliced_means import SlicedMeans

PLOTTED = "plotted.json"
"""The file in `evaluation` with the data that the report plots."""

_REPORTED = 1000


class Evaluator(Component):
    """Measures the models on a split that they were not trained on.

    The method's `evaluate` yields a row (a dict) per example, `SetMeasure`s of the whole split or
    of one of its slices, and what the report plots (`Plotted`), in any order. Rows are written to
    `examples.jsonl` and added up as they come, so that memory does not grow with the number of
    examples. Where a row stands for several measurements its value is a pair of their mean and
    their number. For every `Metric`, `evaluation.json` has

    - `metrics`: its mean (or root mean square) over the examples, or the measure of the whole
      split;
    - `slices`: the same for every slice, with the number of its rows (`count`), and how many of
      them have a value of each metric (`counts`);
    - `mean_over_slices`: `{"slice": name, "metrics": …, "standard_deviation": …}` or `null`: the
      mean of the slices' means and their sample standard deviation, over the values of the *first*
      slice name. Where every slice is a task, this is what papers call the mean accuracy: each task
      counts the same, however many examples it has. Also `null` if the method does not
      average its slices.

    The main figure, by which the model is blessed and compared, is that of the first metric in
    `mean_over_slices` if there are slices, else in `metrics`. `main` names the metric, `main_value`
    is the figure, `main_label` what the screen calls it: `mean accuracy` or `accuracy`. A metric
    that a row leaves out or gives as `None` does not apply to it; a value that is not finite counts
    in no mean but in `not_finite`. `rows` is the number of rows, `counts` for each metric how many
    of them have a value, and `examples` how many have the main metric. `measures` has the measures
    of sets with their details.

    The model is blessed if every check under `thresholds` passed: `min_value` (where given) and
    `max_drop` (where there is an earlier blessed model: its evaluation is the input `baseline`).
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
        "evaluate": "evaluate(models, data, split, parameters) yields rows, measures and plots",
        "metrics": "`Metric`s; the first is the main one",
        "data": "class of the kind of data, a `TransformedData`",
        "evaluated_on": "what the rows are measured on, where that is no split",
        "slices": "names in the rows by which metrics are sliced",
        "mean_over_slices": "whether the main figure is the mean over the first slice's values",
    }
    OPTIONAL_FUNCTIONS: ClassVar = frozenset({"data", "evaluated_on", "slices", "mean_over_slices"})

    class Parameters(Component.Parameters):
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
        data = functions.get("data", TransformedData)(
            inputs["transformed_examples"], inputs["transform_graph"], inputs["examples"]
        )
        split = chosen_split(context.parameters.split, data.splits)
        means = SlicedMeans(functions["metrics"], functions.get("slices") or ())
        _evaluate(context, data, split, means)
        if not means.rows:
            raise BadDataError(
                f"`evaluate` must yield a row for each example. Received: none for the split "
                f"{split!r} with {data.splits[split]} examples"
            )
        evaluation = _evaluation(context, split, means)
        blessed = evaluation["blessed"]
        context.outputs["evaluation"].write_json("evaluation.json", evaluation)
        keys = ("split", "blessed", "main", "main_value", "metrics", "mean_over_slices")
        context.outputs["evaluation"].properties.update({key: evaluation[key] for key in keys})
        blessing = context.outputs["blessing"]
        blessing.properties["blessed"] = blessed
        name = "BLESSED" if blessed else "NOT_BLESSED"
        filesystem.open_file(blessing.path(name), "w").close()
        context.counters.update(_counters(evaluation))
        context.summary = summary(evaluation)
        if not blessed:
            failed = [check for check in evaluation["thresholds"] if not check["passed"]]
            context.stop = Stop(
                "not_blessed",
                f"The model is not blessed: {'; '.join(check['detail'] for check in failed)}. "
                "Train it longer or differently, or set evaluator.min_value and "
                "evaluator.max_drop to acceptable values.",
            )


def _counters(evaluation: Mapping[str, Any]) -> dict[str, int]:
    counters = {"examples": evaluation["examples"]}
    if evaluation["rows"] != evaluation["examples"]:
        counters["rows"] = evaluation["rows"]
    if any(evaluation["not_finite"].values()):
        counters["values not finite"] = sum(evaluation["not_finite"].values())
    return counters


def chosen_split(name: str, splits: Mapping[str, int]) -> str:
    """Returns the split to evaluate on.

    Raises:
        ValueError: there is no such split.
        BadDataError: the split is empty.
    """
    split = name or ("test" if splits.get("test") else "eval")
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
) -> None:
    """Writes and adds up what the method yields."""
    from ..base.model_loading import load_models

    models = load_models(context.inputs["model"])
    evaluation = context.outputs["evaluation"]
    with filesystem.open_file(evaluation.path("examples.jsonl"), "w") as writer:
        for item in context.functions["evaluate"](models, data, split, context.parameters):
            if isinstance(item, SetMeasure):
                means.add_measure(item)
            elif isinstance(item, Plotted):
                evaluation.write_json(PLOTTED, _plain(item.values))
            else:
                means.add(item)
                writer.write(json.dumps(_plain(item), ensure_ascii=False) + "\n")
                if means.rows % _REPORTED == 0:
                    # A row need not be an example of the split, so the total is not known.
                    context.progress(None, f"{means.rows:,} rows")


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
    metrics = means.metrics
    main = metrics[0]
    counts = means.counts()
    evaluation: dict[str, Any] = {
        "split": functions.get("evaluated_on") or split,
        "examples": counts[main.name],
        "rows": means.rows,
        "counts": counts,
        "metrics": means.overall(),
        "units": {metric.name: metric.meaning for metric in metrics},
        "main": main.name,
        "higher_is_better": main.higher_is_better,
        "lower_is_better": [metric.name for metric in metrics if not metric.higher_is_better],
        "mean_over_slices": (
            means.mean_over_slices() if functions.get("mean_over_slices", True) else None
        ),
        "slices": means.slices(),
        "measures": _plain(means.measures()),
        "not_finite": dict(means.not_finite),
    }
    evaluation["main_value"] = main_value(evaluation)
    if evaluation["main_value"] is None:
        raise ValueError(
            f"The main metric {main.name!r} must be a finite number in at least one row that "
            f"`evaluate` yields. Received: {means.rows - counts[main.name]} rows without"
        )
    sliced = evaluation["mean_over_slices"]
    evaluation["main_label"] = f"mean {main.name}" if sliced else main.name
    baseline = context.inputs.get("baseline")
    evaluation["baseline"] = None if baseline is None else _baseline(baseline)
    evaluation["thresholds"] = _thresholds(context.parameters, evaluation)
    evaluation["blessed"] = all(check["passed"] for check in evaluation["thresholds"])
    return evaluation


def main_value(evaluation: Mapping[str, Any]) -> float | None:
    """Returns the main figure of an evaluation: over slices where there are some."""
    sliced = evaluation.get("mean_over_slices")
    return (sliced["metrics"] if sliced else evaluation["metrics"]).get(evaluation["main"])


def measured_examples(evaluation: Mapping[str, Any]) -> int:
    """Returns on how many examples the main metric of an evaluation was measured.

    An evaluation without `counts`, of an earlier version, has all rows as its `examples`.
    """
    examples: int = evaluation.get("examples") or 0
    if "counts" in evaluation:
        return examples
    without: int = (evaluation.get("missing") or {}).get(evaluation.get("main"), 0)
    return examples - without


def _baseline(artifact: ModelEvaluation) -> dict[str, Any]:
    evaluation = artifact.read_json("evaluation.json")
    keys = ("metrics", "mean_over_slices", "slices", "main", "main_value", "split")
    uri = "/".join(artifact.uri.replace("\\", "/").rstrip("/").split("/")[-3:])
    return {**{key: evaluation[key] for key in keys}, "uri": uri}


def _thresholds(parameters: Any, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    label, value = evaluation["main_label"], evaluation["main_value"]
    sign = 1.0 if evaluation["higher_is_better"] else -1.0
    checks = []
    if parameters.min_value is not None:
        bound = parameters.min_value
        direction = "at least" if sign > 0 else "at most"
        checks.append(
            {
                "check": "min_value",
                "passed": sign * value >= sign * bound,
                "detail": f"{label} {value:.4g} must be {direction} {bound:.4g}",
            }
        )
    baseline = evaluation["baseline"]
    if (
        baseline is not None
        and baseline["main"] == evaluation["main"]
        and baseline["main_value"] is not None
    ):
        drop = sign * (baseline["main_value"] - value)
        detail = (
            f"{label} {value:.4g} may be at most {parameters.max_drop:.4g} worse than the last "
            f"blessed model's {baseline['main_value']:.4g}"
        )
        # A drop of exactly the bound must not fail because of rounding.
        passed = drop <= parameters.max_drop + 1e-12
        checks.append({"check": "max_drop", "passed": passed, "detail": detail})
    return checks


def summary(evaluation: Mapping[str, Any], paper: float | None = None) -> str:
    """Returns the line for the screen: figure, paper, last blessed model, worst slice.

    Args:
        evaluation: content of `evaluation.json`.
        paper: the paper's number, where one is comparable.
    """
    main = evaluation["main"]
    parts = [f"{evaluation['main_label']} {evaluation['main_value']:.3f}"]
    if paper is not None:
        parts.append(f"paper {paper:.3f}")
    baseline = evaluation["baseline"]
    if baseline is None:
        parts.append("no baseline yet")
    elif baseline["main"] != main or baseline["main_value"] is None:
        parts.append(f"last blessed model has no {main}")
    else:
        parts.append(f"last blessed {baseline['main_value']:.3f}")
    line = ", ".join(parts)
    sliced = evaluation["mean_over_slices"]
    if sliced:
        name = sliced["slice"]
        rows = [
            row
            for row in evaluation["slices"]
            if list(row["slice"]) == [name] and row["metrics"][main] is not None
        ]
        pick = min if evaluation["higher_is_better"] else max
        worst = pick(rows, key=lambda row: row["metrics"][main])
        line += f"   worst {name} {worst['slice'][name]}: {worst['metrics'][main]:.3g}"
    return line
