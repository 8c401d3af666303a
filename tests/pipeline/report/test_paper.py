"""The paper's numbers beside ours."""

import types

import pytest
from methodical.pipeline.report.paper import PaperFigure, comparable, compared

EVALUATION = {
    "main": "accuracy",
    "metrics": {"accuracy": 0.6, "loss": 2.0},
    "mean_over_slices": {"slice": "task", "metrics": {"accuracy": 5 / 9, "loss": 2.5}},
    "slices": [
        {"slice": {"task": task}, "metrics": {"accuracy": value, "loss": None}}
        for task, value in (("1", 2 / 3), ("2", 0.0), ("10", 1.0))
    ],
}


def beside(figures, column=None, **parameters):
    paper = types.SimpleNamespace(FIGURES=figures)
    if column is not None:
        paper.column = column
    return compared(paper, EVALUATION, parameters)


def test_the_paper_stands_beside_ours():
    figures = [
        PaperFigure("accuracy", 0.93, "two hops"),
        PaperFigure("accuracy", 0.5, "two hops", {"task": "10"}, "other data"),
        PaperFigure("accuracy", 0.4, "one hop"),
        PaperFigure("accuracy", 0.4, "two hops", {"task": "20"}),
    ]
    columns = {1: "one hop", 2: "two hops"}
    found = beside(figures, lambda parameters: columns[parameters.hops], Trainer={"hops": 2})
    assert found["column"] == "two hops"
    assert [row["ours"] for row in found["paper"]] == [
        pytest.approx(5 / 9),
        1.0,
        pytest.approx(5 / 9),
        None,
    ]
    assert found["paper"][1]["remark"] == "other data"
    assert found["paper"][0]["value"] == 0.5
    assert found["paper"][0]["remark"].startswith("mean over the 1 of the paper's 2 slices")
    assert found["paper"][2]["value"] == 0.4
    assert comparable(found) == 0.5
    assert found["metrics"] == EVALUATION["metrics"]


def test_a_figure_measured_with_other_parameters_has_none_of_ours_beside_it():
    figures = [
        PaperFigure("accuracy", 0.9, "two", measured_at={"far": 0.5}, remark="on other data"),
        PaperFigure("loss", 0.8, "two", measured_at={"far": 0.02}),
    ]
    found = beside(figures, lambda parameters: "two", Evaluator={"far": 0.02})
    first, second = found["paper"]
    assert (first["comparable"], first["ours"]) == (False, None)
    assert first["remark"] == "on other data; measured at far 0.5, ours at 0.02"
    assert (second["comparable"], second["ours"]) == (True, pytest.approx(2.5))
    assert second["remark"] == ""
    assert comparable(found) is None
    found = beside(figures, lambda parameters: "two", Evaluator={"far": 0.5})
    assert [figure["comparable"] for figure in found["paper"]] == [True, False]
    assert comparable(found) == 0.9


def test_a_paper_without_numbers():
    found = beside(())
    assert (found["paper"], found["column"], comparable(found)) == ([], None, None)
