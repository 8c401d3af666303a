"""The results page."""

import os
import types

import pytest
from methodical.pipeline.metadata.metadata_store import MetadataStore
from methodical.pipeline.report import results
from methodical.pipeline.report.outputs import Outputs
from methodical.pipeline.report.training import method_summary
from methodical.pipeline.report.training_summary import Table, TrainingSummary


@pytest.fixture
def record():
    return {
        "run_id": "r", "method": "toy", "title": "A toy", "source": "files",
        "data_dir": "/data/en.tar.xz", "minutes": 1.5, "settings": {"trainer.epochs": 3},
        "verdicts": {"Evaluator": "BLESSED"}, "machine": {"cores": 2, "memory_gib": 8.0},
        "stages": [{"component": "Trainer", "parameters": {"seed": 5}}],
        "metrics": {
            "main": "accuracy", "main_value": 0.7, "main_label": "mean accuracy",
            "split": "test", "examples": 40, "column": "AM",
            "metrics": {"accuracy": 0.75},
            "slices": [{"slice": {"task": "1"}, "count": 20, "metrics": {"accuracy": 0.5}}],
            "paper": [
                {"metric": "accuracy", "value": 0.9, "column": "AM", "slice": {"task": "1"},
                 "remark": "other data"},
                {"metric": "accuracy", "value": 0.8, "column": "AM", "slice": {}, "remark": ""},
                {"metric": "loss", "value": 7.0, "column": "AM", "slice": {}, "remark": ""},
            ],
        },
    }  # fmt: skip


def test_page_has_runs_and_the_papers_numbers_beside_ours(record):
    lines = results.markdown([record]).splitlines()
    assert "## toy: A toy" in lines
    run = next(line for line in lines if line.startswith("| 1 |"))
    for cell in ("files `en.tar.xz`", "`trainer.epochs=3`", " 5 ", "0.700", "BLESSED", " 1.5 "):
        assert cell in run
    assert "| | run 1 | paper AM |" in lines
    assert "| task 1 | 0.500 | 0.900 |" in lines
    assert "| mean accuracy | 0.700 | 0.800 |" in lines
    assert "other data" in lines
    assert "7" not in lines[-1]
    assert not any("standard deviation" in line for line in lines)


def test_examples_are_those_with_the_main_metric(record):
    # Of earlier versions, whose `examples` are all rows.
    record["metrics"]["missing"] = {"accuracy": 13, "loss": 40}
    assert "| test | 27 | mean accuracy |" in results.markdown([record])
    record["metrics"].update(counts={"accuracy": 40}, rows=53)
    assert "| test | 40 | mean accuracy |" in results.markdown([record])


def test_figures_measured_otherwise_do_not_stand_beside_ours(record):
    record["metrics"]["metrics"]["loss"] = 2.5
    for figure in record["metrics"]["paper"][1:]:
        figure["comparable"] = False
    lines = results.markdown([record]).splitlines()
    assert "| loss | 2.500 |  |  |" in lines
    assert "| mean accuracy | 0.700 |  |" in lines


def test_page_has_the_spread_over_the_slices(record):
    record["metrics"]["mean_over_slices"] = {
        "slice": "task",
        "metrics": {"accuracy": 0.7},
        "standard_deviation": {"accuracy": 0.0625},
    }
    lines = results.markdown([record]).splitlines()
    mean = lines.index("| mean accuracy | 0.700 | 0.800 |")
    assert lines[mean + 1] == "| standard deviation | 0.062 |  |"


def test_all_metrics_and_the_tables_of_the_training(record):
    record["metrics"]["metrics"]["loss"] = 2.5
    record["metrics"]["paper"][2]["remark"] = ""
    record["metrics"]["units"] = {"loss": "nats"}
    record["training_tables"] = [
        {"title": "steps", "columns": ["fit", "to 95 %"], "rows": [["a", 15000]]}
    ]
    lines = results.markdown([record, record]).splitlines()
    assert "| metric | run 1 | run 2 | paper | meaning |" in lines
    assert "| loss | 2.500 | 2.500 | 7.000 (AM) | nats |" in lines
    assert "Run 2: steps" in lines
    assert "| fit | to 95 % |" in lines
    assert "| a | 15,000 |" in lines


def test_metrics_without_a_mean_are_not_listed(record):
    other = {**record, "metrics": {**record["metrics"], "metrics": {"accuracy": 0.5, "loss": 1.0}}}
    record["metrics"]["metrics"].update(worse=None, loss=None)
    lines = results.markdown([record, other]).splitlines()
    assert "| loss |  | 1.000 | 7.000 (AM) |  |" in lines
    assert not any("worse" in line for line in lines)


def test_means_in_slices_only_are_not_listed_of_earlier_records_either(record):
    record["method"] = "facenet"
    record["metrics"]["metrics"].update(eer=0.25, rank_1=0.75, accuracy_compared=0.5)
    compared = {"slice": {"network": "a"}, "count": 1, "metrics": {"accuracy_compared": 0.5}}
    record["metrics"]["slices"].append(compared)
    lines = results.markdown([record]).splitlines()
    assert "| eer | 0.250 |  |  |" in lines
    assert "| rank_1 | 0.750 |  |  |" in lines
    assert not any(line.startswith("| accuracy_compared ") for line in lines)


def test_slices_without_the_main_metric_have_tables_of_their_own(record):
    record["metrics"]["slices"] += [
        {"slice": {"quality": "10"}, "count": 1, "metrics": {"accuracy": None, "worse": 0.25}},
        {"slice": {"quality": "90"}, "count": 1, "metrics": {"accuracy": None, "worse": 0.5}},
    ]
    lines = results.markdown([record, record]).splitlines()
    start = lines.index("Run 2, by quality:")
    assert lines[start + 2 : start + 6] == [
        "| quality | worse |",
        "|---|---|",
        "| 10 | 0.250 |",
        "| 90 | 0.500 |",
    ]
    assert not any("quality 10" in line for line in lines)


def test_collect_leaves_out_repeats_and_runs_without_metrics(toy):
    toy.run()
    toy.run()
    toy.run({"Trainer": {"epochs": 9}})
    toy.run({"Trainer": {"epochs": 10}}, to_stage="trainer")
    found = results.collect([toy.root])
    assert [record["metrics"]["metrics"]["total"] for record in found] == [62, 69]


def test_the_method_sums_up_its_training(toy, monkeypatch):
    def training_summary(parameters, logs):
        rows = [[name, parameters.epochs, len(epochs)] for name, epochs in logs.items()]
        return TrainingSummary([Table("epochs", ["fit", "asked", "logged"], rows)])

    roles = {"figures": types.SimpleNamespace(training_summary=training_summary)}
    toy.run({"Trainer": {"epochs": 2}})
    (record,) = results.collect([toy.root])
    assert record["training_tables"] == []
    folder = os.path.join(toy.root, "runs", record["run_id"], "model_run")
    os.makedirs(os.path.join(folder, "a"))
    with open(os.path.join(folder, "a", "epochs.jsonl"), "w") as writer:
        writer.write('{"loss": 1}\n' * 1500)
    stage = {
        **{"component": "Trainer", "parameters": {"epochs": 2}},
        "outputs": {"model_run": f"runs/{record['run_id']}/model_run"},
        "properties": {"model_run": {"fits": ["a"]}},
    }
    method = types.SimpleNamespace(role=roles.get)
    outputs = Outputs({**record, "stages": [stage]}, toy.root)
    (table,) = method_summary(outputs, method)["tables"]
    assert table["rows"] == [["a", "2", "1,500"]]
    # What the Trainer of an earlier version said stands as it is.
    old = [{"title": "old", "columns": ["fit"], "rows": [["a"]]}]
    stage["properties"]["model_run"]["tables"] = old
    assert method_summary(outputs, method)["tables"] == old


def test_minutes_are_those_of_the_executions(toy):
    toy.run()
    toy.run({"Evaluator": {"min_value": 1.0}})
    found = results.collect([toy.root])
    assert found[1]["stages"][1]["state"] == "cached"
    with MetadataStore(f"{toy.root}/metadata.sqlite", read_only=True) as store:
        took = [store.execution(number).properties["seconds"] for number in (1, 2, 4)]
    assert found[1]["minutes"] == pytest.approx(sum(took) / 60)
