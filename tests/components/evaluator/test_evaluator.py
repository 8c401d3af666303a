import json
import math
import os
import pathlib

import pytest
from methodical.components.base.artifacts import (
    Examples,
    Model,
    ModelBlessing,
    ModelEvaluation,
    TransformGraph,
)
from methodical.components.base.component import ExecutionContext
from methodical.components.base.errors import BadDataError
from methodical.components.evaluator.component import Evaluator, measured_examples
from methodical.components.evaluator.metric import Metric, Plotted, SetMeasure
from methodical.components.evaluator.sliced_means import SlicedMeans

# Task 1: 1, 1, 0 -> 2/3; task 2: 0 -> 0; task 10: 1 -> 1. Over rows 3/5, over tasks 5/9.
ROWS = [
    {"accuracy": 1, "loss": 0.5, "task": "1", "details": {"answer": "kitchen"}},
    {"accuracy": 1, "loss": None, "task": "1", "details": {}},
    {"accuracy": 0, "loss": 1.5, "task": "1", "details": {}},
    {"accuracy": 0, "loss": float("nan"), "task": "2", "details": {}},
    {"accuracy": 1, "loss": 4.0, "task": "10", "details": {}},
]


METRICS = (
    Metric("accuracy", "share"),
    Metric("loss", "nats", higher_is_better=False),
)

OTHER = {"accuracy": None, "loss": 1.0, "task": None, "details": {}}


@pytest.fixture
def evaluated(tmp_path):
    def run(rows=ROWS, baseline=None, functions=None, splits=None, **parameters):
        folder = tmp_path / f"run{len(os.listdir(tmp_path))}"
        outputs = {
            "evaluation": ModelEvaluation(f"{folder}/Evaluator/7/evaluation"),
            "blessing": ModelBlessing(f"{folder}/Evaluator/7/blessing"),
        }
        for output in outputs.values():
            os.makedirs(output.uri)
        examples = Examples("none", {"splits": splits or {"train": 9, "eval": len(rows)}})
        inputs = {
            "examples": examples,
            "transformed_examples": examples,
            "transform_graph": TransformGraph("none"),
            "model": Model("none", {"fits": [], "parameters": {"hops": 2}}),
        }
        if baseline is not None:
            inputs["baseline"] = baseline
        seen = {"progress": []}

        def evaluate(models, data, split, parameters):
            seen.update(models=models, split=split)
            yield from rows

        context = ExecutionContext(
            inputs=inputs,
            outputs=outputs,
            parameters=Evaluator.Parameters(**parameters),
            functions={
                "evaluate": evaluate,
                "metrics": METRICS,
                "slices": ("task",),
                **(functions or {}),
            },
            progress=lambda *told: seen["progress"].append(told),
        )
        Evaluator.execute(context)
        return context, outputs["evaluation"].read_json("evaluation.json"), seen

    return run


def test_slices_need_not_be_averaged(evaluated):
    context, found, _ = evaluated(functions={"mean_over_slices": False})
    assert found["mean_over_slices"] is None
    assert len(found["slices"]) == 3
    assert (found["main_label"], found["main_value"]) == ("accuracy", pytest.approx(0.6))
    assert context.summary == "accuracy 0.600, no baseline yet"


def test_means_by_example_and_by_slice(evaluated):
    context, found, seen = evaluated()
    assert found["metrics"] == {"accuracy": pytest.approx(0.6), "loss": pytest.approx(2.0)}
    assert found["slices"] == [
        {
            "slice": {"task": "1"},
            "count": 3,
            "counts": {"accuracy": 3, "loss": 2},
            "metrics": {"accuracy": pytest.approx(2 / 3), "loss": 1.0},
        },
        {
            "slice": {"task": "2"},
            "count": 1,
            "counts": {"accuracy": 1, "loss": 0},
            "metrics": {"accuracy": 0.0, "loss": None},
        },
        {
            "slice": {"task": "10"},
            "count": 1,
            "counts": {"accuracy": 1, "loss": 1},
            "metrics": {"accuracy": 1.0, "loss": 4.0},
        },
    ]
    assert found["mean_over_slices"] == {
        "slice": "task",
        "metrics": {"accuracy": pytest.approx(5 / 9), "loss": pytest.approx(2.5)},
        # Of 2/3, 0, 1 and of 1, 4.
        "standard_deviation": {
            "accuracy": pytest.approx(math.sqrt(7 / 27)),
            "loss": pytest.approx(math.sqrt(4.5)),
        },
    }
    assert (found["main"], found["main_label"]) == ("accuracy", "mean accuracy")
    assert found["main_value"] == pytest.approx(5 / 9)
    # A loss is `None` where it does not apply; the one that is NaN could not be measured.
    assert found["not_finite"] == {"accuracy": 0, "loss": 1}
    assert found["counts"] == {"accuracy": 5, "loss": 3}
    assert context.counters == {"examples": 5, "values not finite": 1}
    assert seen == {"models": {}, "split": "eval", "progress": []}
    assert found["baseline"] is None
    assert found["blessed"] is True
    assert context.summary == "mean accuracy 0.556, no baseline yet   worst task 2: 0"
    assert context.outputs["blessing"].properties == {"blessed": True}
    assert os.listdir(context.outputs["blessing"].uri) == ["BLESSED"]
    assert context.stop is None
    text = pathlib.Path(context.outputs["evaluation"].path("examples.jsonl")).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines == [
        {**row, "loss": None if row["loss"] != row["loss"] else row["loss"]} for row in ROWS
    ]


def test_without_slices_the_mean_over_examples_decides(evaluated):
    context, found, _ = evaluated(functions={"slices": ()})
    assert found["mean_over_slices"] is None
    assert found["slices"] == []
    assert found["main_value"] == pytest.approx(0.6)
    assert context.summary == "accuracy 0.600, no baseline yet"


def test_examples_are_the_rows_with_the_main_metric(evaluated):
    context, found, seen = evaluated([*ROWS * 200, *[OTHER] * 3], splits={"eval": 1780})
    assert (found["examples"], found["rows"]) == (1000, 1003)
    assert context.counters == {"examples": 1000, "rows": 1003, "values not finite": 200}
    assert measured_examples(found) == 1000
    # Rows need not be the split's examples: a share of these would be wrong.
    assert seen["progress"] == [(None, "1,000 rows")]


def test_examples_of_an_evaluation_of_an_earlier_version():
    before = {"main": "a", "examples": 1013, "missing": {"a": 13, "b": 1013}}
    assert measured_examples(before) == 1000
    assert measured_examples({"main": "a", "examples": 7}) == 7


def test_a_bound_that_is_missed(evaluated):
    context, found, _ = evaluated(min_value=0.56)
    assert found["blessed"] is False
    assert found["thresholds"] == [
        {
            "check": "min_value",
            "passed": False,
            "detail": "mean accuracy 0.5556 must be at least 0.56",
        }
    ]
    assert os.listdir(context.outputs["blessing"].uri) == ["NOT_BLESSED"]
    assert context.outputs["blessing"].properties == {"blessed": False}
    assert context.stop.kind == "not_blessed"
    assert "0.5556 must be at least 0.56" in context.stop.message
    assert evaluated(min_value=0.55)[1]["blessed"] is True


@pytest.mark.parametrize(
    ("before", "higher", "blessed"), [(0.60, True, False), (0.57, True, True), (0.5, False, False)]
)
def test_a_drop_against_the_last_blessed_model(evaluated, before, higher, blessed):
    rows = [{"accuracy": before, "loss": 0.0, "task": "1"}]
    earlier, _, _ = evaluated(rows)
    baseline = earlier.outputs["evaluation"]
    metrics = (Metric("accuracy", "share", higher_is_better=higher), METRICS[1])
    context, found, _ = evaluated(baseline=baseline, functions={"metrics": metrics})
    assert found["blessed"] is blessed
    assert found["baseline"]["main_value"] == before
    assert found["baseline"]["uri"] == "Evaluator/7/evaluation"
    assert f"last blessed {before:.3f}" in context.summary


def test_a_lower_bound_where_less_is_better(evaluated):
    functions = {"metrics": METRICS[1:]}
    context, found, _ = evaluated(functions=functions, min_value=2.4)
    assert found["blessed"] is False
    assert "must be at most 2.4" in found["thresholds"][0]["detail"]
    assert context.summary.endswith("worst task 10: 4")


def test_the_split_is_test_if_there_is_one(evaluated):
    assert evaluated(splits={"train": 1, "eval": 2, "test": 5})[2]["split"] == "test"
    assert evaluated(splits={"train": 1, "eval": 2, "test": 5}, split="eval")[2]["split"] == "eval"
    with pytest.raises(ValueError, match=r"eval, train. Received: 'tset'"):
        evaluated(split="tset")
    with pytest.raises(BadDataError, match="'eval' is empty"):
        evaluated(splits={"train": 9, "eval": 0})


def test_rows_that_cannot_be_used(evaluated):
    with pytest.raises(BadDataError, match="none for the split 'eval' with 4"):
        evaluated([], splits={"eval": 4})
    with pytest.raises(ValueError, match=r"at least one of its metrics: .*Received: acuracy, task"):
        evaluated([{"acuracy": 1, "task": "1"}])
    with pytest.raises(ValueError, match=r"finite number in at least one row.*Received: 1 rows"):
        evaluated([{"accuracy": None, "loss": 1, "task": "1"}])


def test_a_pair_counts_as_its_measurements_and_root_mean_squares_are_such():
    means = SlicedMeans(
        [Metric("error", ""), Metric("rmse", "", average="root_mean_square")], ["fold"]
    )
    # Errors 1, 1, 4 and 2 in fold 1, 3 in fold 2, one user without any.
    means.add({"error": (2.0, 3), "rmse": (math.sqrt(6), 3), "fold": "1"})
    means.add({"error": 2.0, "rmse": 2.0, "fold": "1"})
    means.add({"error": (3.0, 1), "rmse": (3.0, 1), "fold": "2"})
    means.add({"error": (0.0, 0), "rmse": None, "fold": "2"})
    assert means.overall() == {
        "error": pytest.approx(11 / 5),
        "rmse": pytest.approx(math.sqrt(31 / 5)),
    }
    assert means.counts() == {"error": 3, "rmse": 3}
    assert means.not_finite == {"error": 0, "rmse": 0}
    first, second = means.slices()
    assert first["metrics"] == {"error": pytest.approx(2.0), "rmse": pytest.approx(math.sqrt(5.5))}
    assert second["metrics"] == {"error": 3.0, "rmse": pytest.approx(3.0)}
    assert means.mean_over_slices()["metrics"]["rmse"] == pytest.approx((math.sqrt(5.5) + 3) / 2)
    with pytest.raises(ValueError, match=r"Received: \(1.0, -1\) for 'error'"):
        means.add({"error": (1.0, -1), "rmse": 1.0, "fold": "1"})


def test_measures_of_a_set_stand_beside_rows(evaluated):
    metrics = (
        *METRICS,
        Metric("f_score", "of the clustering", average="none"),
        Metric("other_accuracy", "of another model", average="none"),
    )
    rows = [
        SetMeasure({"f_score": 0.25}, 40, details={"clusters": 7}),
        {"accuracy": 1, "task": "1"},
        SetMeasure({"other_accuracy": 0.5}, 30, {"network": "second"}),
        SetMeasure({"other_accuracy": float("nan")}, 30, {"network": "third"}),
        {"accuracy": 0, "loss": 2.0, "task": "1"},
    ]
    functions = {"metrics": metrics, "slices": ("task", "network")}
    context, found, _ = evaluated(rows, functions=functions, splits={"eval": 2})
    assert found["metrics"] == {
        "accuracy": 0.5,
        "loss": 2.0,
        "f_score": 0.25,
        "other_accuracy": None,
    }
    assert (found["rows"], found["examples"]) == (2, 2)
    assert found["counts"] == {"accuracy": 2, "loss": 1, "f_score": 40, "other_accuracy": 0}
    assert found["lower_is_better"] == ["loss"]
    task, second, third = found["slices"]
    assert task["metrics"]["accuracy"] == 0.5
    assert second == {
        "slice": {"network": "second"},
        "count": 30,
        "counts": {"accuracy": 0, "loss": 0, "f_score": 0, "other_accuracy": 30},
        "metrics": {"accuracy": None, "loss": None, "f_score": None, "other_accuracy": 0.5},
    }
    assert third["metrics"]["other_accuracy"] is None
    assert found["not_finite"]["other_accuracy"] == 1
    assert found["mean_over_slices"]["slice"] == "task"
    assert found["measures"][0] == {
        "slice": {},
        "count": 40,
        "values": {"f_score": 0.25},
        "details": {"clusters": 7},
    }
    lines = pathlib.Path(context.outputs["evaluation"].path("examples.jsonl")).read_text()
    assert len(lines.splitlines()) == 2


@pytest.mark.parametrize(
    "measure",
    [
        SetMeasure({"accuracy": 0.5}, 3),
        SetMeasure({"f_score": 0.5}, 3, {"unknown": "a"}),
        SetMeasure({"f_score": 0.5}, 3, {"task": "1", "network": "a"}),
    ],
)
def test_measures_of_a_set_that_are_not_declared(evaluated, measure):
    metrics = (*METRICS, Metric("f_score", "of the clustering", average="none"))
    functions = {"metrics": metrics, "slices": ("task", "network")}
    with pytest.raises(ValueError, match=r"A SetMeasure must give metrics whose average is 'none'"):
        evaluated([measure, *ROWS], functions=functions)


def test_what_is_measured_may_be_no_split(evaluated):
    context, found, seen = evaluated(functions={"evaluated_on": "test ratings"})
    assert (found["split"], seen["split"]) == ("test ratings", "eval")
    assert context.outputs["evaluation"].properties["split"] == "test ratings"


def test_what_is_plotted_is_kept_as_numbers(evaluated):
    import numpy as np

    context, _, _ = evaluated([*ROWS, Plotted({"x": np.arange(3), "y": float("nan")})])
    assert context.outputs["evaluation"].read_json("plotted.json") == {"x": [0, 1, 2], "y": None}


def test_rows_are_not_kept():
    means = SlicedMeans([Metric("value", "")], ["group"])

    class Row(dict):
        alive = 0

        def __init__(self, index):
            super().__init__(value=0.1, group=str(index % 2))
            Row.alive += 1

        def __del__(self):
            Row.alive -= 1

    most = 0
    for index in range(1000):
        means.add(Row(index))
        most = max(most, Row.alive)
    assert most <= 1
    assert means.overall() == {"value": 0.1}


def test_numbers_of_numpy_become_json(evaluated):
    import numpy as np

    rows = [
        {
            "accuracy": np.float32(0.5),
            "loss": np.int64(3),
            "task": b"1",
            "details": {"a": np.arange(2)},
        }
    ]
    context, found, _ = evaluated(rows)
    assert found["slices"][0]["slice"] == {"task": "1"}
    line = pathlib.Path(context.outputs["evaluation"].path("examples.jsonl")).read_text()
    assert json.loads(line) == {"accuracy": 0.5, "loss": 3, "task": "1", "details": {"a": [0, 1]}}
