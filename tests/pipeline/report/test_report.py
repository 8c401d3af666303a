import dataclasses
import html
import html.parser
import json
import os
import random
import re
import shutil
import subprocess
import sys
import types

import pytest
from methodical.components.base import artifacts
from methodical.components.base.parameters import Parameters
from methodical.components.evaluator.metric import Metric
from methodical.components.io import example_proto, tfrecord
from methodical.pipeline.report import (
    data as report_data,
)
from methodical.pipeline.report import (
    evaluation as report_evaluation,
)
from methodical.pipeline.report import (
    lineage as report_lineage,
)
from methodical.pipeline.report import (
    report,
)
from methodical.pipeline.report import (
    serving as report_serving,
)
from methodical.pipeline.report import (
    training as report_training,
)
from methodical.pipeline.report import (
    wrong_answers as report_wrong_answers,
)
from methodical.pipeline.report.outputs import Outputs
from methodical.pipeline.report.paper import PaperFigure
from methodical.pipeline.report.training_summary import Table, TrainingSummary

EVIL = "<script>alert('x')</script> & <b>bold</b>"
COLUMNS = ("MemNN", "AM+NG+NL")
INPUTS = {
    "ExampleGen": {},
    "StatisticsGen": {"examples": "ExampleGen"},
    "SchemaGen": {"statistics": "StatisticsGen"},
    "ExampleValidator": {
        "statistics": "StatisticsGen",
        "schema": "SchemaGen",
        "examples": "ExampleGen",
    },
    "Transform": {
        "examples": "ExampleGen",
        "schema": "SchemaGen",
        "anomalies": "ExampleValidator",
    },
    "Trainer": {"examples": "Transform", "transform_graph": "Transform"},
    "Evaluator": {
        "examples": "ExampleGen",
        "transformed_examples": "Transform",
        "transform_graph": "Transform",
        "model": "Trainer",
        "baseline": 41,
    },
    "Exporter": {
        "examples": "ExampleGen",
        "transformed_examples": "Transform",
        "transform_graph": "Transform",
        "model": "Trainer",
        "blessing": "Evaluator",
    },
    "InfraValidator": {"saved_model": "Exporter"},
    "Pusher": {
        "saved_model": "Exporter",
        "blessing": "Evaluator",
        "infra_blessing": "InfraValidator",
    },
}
SECONDS = (1.9, 0.7, 0.1, 0.2, 4.2, 58.0, 2.1, 6.4, 3.0, 0.04)


class TrainerOptions(Parameters):
    epochs: int = 60
    nonlinear: bool = True


def draw(rows):
    return {"first wrong": f"<svg><text>{len(rows)} rows, {rows[0]['task']}</text></svg>"}


def drawing(evaluation_figures):
    return fake_method(figures=types.SimpleNamespace(evaluation_figures=evaluation_figures))


def fake_method(figures=None, sample=None, metrics=(), paper=(), column="AM+NG+NL", **changes):
    """A method whose roles are objects."""
    roles = {
        "figures": figures or types.SimpleNamespace(evaluation_figures=draw),
        "paper": types.SimpleNamespace(FIGURES=paper, column=lambda parameters: column),
    }
    values = {
        "name": "babi",
        "title": "bAbI question answering with memory networks",
        "paper": "Weston et al. 2015: Towards AI-Complete Question Answering, arXiv 1502.05698",
        "sources": {"simulated": types.SimpleNamespace(options=Parameters)},
        "trainer_options": TrainerOptions,
        "slices": ("task",),
        "metrics": metrics,
        "data": types.SimpleNamespace(
            sample=sample
            or (
                lambda features: {
                    "story": "\n".join(text.decode() for text in features["story"]),
                    "question": features["question"][0].decode(),
                }
            )
        ),
        "role": roles.get,
    }
    return types.SimpleNamespace(**{**values, **changes})


class World:
    """A finished run with small artifacts on disk."""

    def __init__(self, root, tasks=3, questions=20, epochs=8, story=("Mary went to the hall.",)):
        self.root, self.tasks, self.questions = str(root), tasks, questions
        self.story, self.epochs = story, epochs
        self.random = random.Random(0)
        self.stages = []
        for index, (component, inputs) in enumerate(INPUTS.items()):
            execution = 100 + index
            stage = {
                "component": component,
                "state": "done" if index > 3 else "cached",
                "verdict": None,
                "seconds": SECONDS[index],
                "reason": "models/memory_network/memory_network.py changed"
                if index > 3
                else "same inputs, same parameters, same code",
                "summary": "",
                "execution_id": execution,
                "parameters": {},
                "counters": {},
                "outputs": {},
                "properties": {},
                "inputs": {name: self.execution(maker) or maker for name, maker in inputs.items()},
            }
            self.stages.append(stage)
            getattr(self, f"make_{component}")(stage)
        self.run = {
            "run_id": "20261122-0443-7f3a",
            "method": "babi",
            "title": "bAbI question answering with memory networks",
            "source": "simulated",
            "data_dir": None,
            "root": self.root,
            "started": "2026-11-22T04:43:10+00:00",
            "seconds": 76.6,
            "state": "complete",
            "exit_code": 0,
            "command": "methodical run babi --set Trainer.epochs=20 --root root",
            "error": None,
            "stages": self.stages,
            "metrics": {"accuracy": 0.968},
            "verdicts": {"Evaluator": "BLESSED", "InfraValidator": "BLESSED"},
            "paths": {
                "report": "runs/20261122-0443-7f3a/report.html",
                "pushed_model": "serving/babi/17",
            },
            "versions": {"methodical": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
            "machine": {"system": "Linux", "cpus": 2, "memory": "8 GiB"},
        }

    def execution(self, component):
        for stage in self.stages:
            if stage["component"] == component:
                return stage["execution_id"]
        return None

    def artifact(self, stage, output, kind, **properties):
        path = f"artifacts/babi/{stage['component']}/{stage['execution_id']}/{output}"
        stage["outputs"][output] = path
        stage["properties"][output] = properties
        os.makedirs(os.path.join(self.root, path), exist_ok=True)
        return kind(os.path.join(self.root, path), properties)

    @staticmethod
    def write(artifact, name, data):
        os.makedirs(os.path.dirname(artifact.path(name)), exist_ok=True)
        with open(artifact.path(name), "wb" if isinstance(data, bytes) else "w") as writer:
            writer.write(data)

    def make_ExampleGen(self, stage):
        splits = {"train": 30, "eval": 6}
        made = self.artifact(stage, "examples", artifacts.Examples, splits=splits)
        for split, count in splits.items():
            os.makedirs(made.split_uri(split))
            tfrecord.write_records(
                made.path(f"Split-{split}", "examples-00000-of-00001.gz"),
                (
                    example_proto.encode(
                        {
                            "id": [f"{index}"],
                            "story": list(self.story),
                            "question": [f"Where is Mary {index}?"],
                            "task": [index % 3],
                        }
                    )
                    for index in range(count)
                ),
            )
        row = {"source": "qa1.txt", "position": "line 12", "reason": f"no answer {EVIL}"}
        self.write(made, made.DEAD_LETTERS, json.dumps(row) + "\n")
        stage["summary"] = "20,000 stories, 1 bad"
        stage["counters"] = {"examples": 20000, "dead_letters": 1}

    def make_StatisticsGen(self, stage):
        from tensorflow_metadata.proto.v0 import statistics_pb2 as protos

        made = self.artifact(stage, "statistics", artifacts.ExampleStatistics)
        for split, count in (("train", 18000), ("eval", 2000)):
            found = protos.DatasetFeatureStatisticsList()
            data = found.datasets.add(name=split, num_examples=count)
            for name, low, high in (("task", 1, 20), ("supporting_facts", 0, 90)):
                number = data.features.add(name=name, type=protos.FeatureNameStatistics.INT)
                number.num_stats.mean, number.num_stats.std_dev = (low + high) / 2, 5.77
                number.num_stats.median, number.num_stats.num_zeros = (low + high) // 2, 3
                number.num_stats.common_stats.max_num_values = 3 if low == 0 else 1
                number.num_stats.common_stats.avg_num_values = 1.7
                drawn = number.num_stats.histograms.add()
                for step in range(10):
                    wide = (high - low) / 10
                    drawn.buckets.add(
                        low_value=low + wide * step,
                        high_value=low + wide * (step + 1),
                        sample_count=count / 10 * (self.random.random() if low == 0 else 1),
                    )
            for name in ("answer", "question"):
                text = data.features.add(name=name, type=protos.FeatureNameStatistics.STRING)
                text.string_stats.unique, text.string_stats.avg_length = 177, 6.25
                for word, share in (
                    (f"kitchen{EVIL if name == 'answer' else ''}", 0.2),
                    ("hallway", 0.16),
                    ("yes", 0.1),
                    ("bathroom", 0.08),
                    ("no", 0.03),
                ):
                    text.string_stats.top_values.add(value=word, frequency=int(count * share))
            self.write(made, f"Split-{split}/FeatureStats.pb", found.SerializeToString())
        stage["summary"] = "8 features in 2 splits"

    def make_SchemaGen(self, stage):
        made = self.artifact(stage, "schema", artifacts.Schema)
        self.write(made, "schema.pbtxt", "")
        stage["summary"] = "8 features, 2 domains"

    def make_ExampleValidator(self, stage):
        from tensorflow_metadata.proto.v0 import anomalies_pb2

        made = self.artifact(stage, "anomalies", artifacts.ExampleAnomalies)
        for split in ("train", "eval"):
            found = anomalies_pb2.Anomalies()
            if split == "eval":
                found.anomaly_info["answer"].short_description = "Unexpected string values"
                found.anomaly_info["answer"].description = "Examples contain values missing from it"
            self.write(made, f"Split-{split}/SchemaDiff.pb", found.SerializeToString())
        row = {
            "split": "eval",
            "feature": "answer",
            "anomaly": "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
        }
        row.update(file="examples-00000-of-00001.gz", index=17, value=f"north-north {EVIL}")
        made.write_json("examples.json", [row])
        stage["summary"] = "1 anomaly"

    def make_Transform(self, stage):
        self.artifact(stage, "transform_graph", artifacts.TransformGraph)
        self.artifact(stage, "transformed_examples", artifacts.Examples, splits={"train": 30})
        stage["summary"] = "vocabulary 177"

    def make_Trainer(self, stage):
        fits = [f"qa{task}" for task in range(1, self.tasks + 1)]
        best = {fit: {"epoch": max(self.epochs - 2, 1), "value": 0.5} for fit in fits}
        self.artifact(stage, "model", artifacts.Model, fits=fits, best=best)
        made = self.artifact(stage, "model_run", artifacts.ModelRun)
        for fit in fits:
            rate, floor = self.random.uniform(0.1, 0.4), self.random.uniform(0, 0.3)
            lines = ["epoch,accuracy,loss,val_accuracy,val_loss"]
            for epoch in range(1, self.epochs + 1):
                loss = (1 - floor) * 2.718 ** (-rate * epoch) + floor * 0.2
                loss += self.random.uniform(0, 0.02)
                lines.append(
                    f"{epoch},{1 - loss:.4f},{loss:.4f},{1 - loss - floor * 0.2:.4f},"
                    f"{loss + floor * 0.3:.4f}"
                )
            self.write(made, f"{fit}/epochs.csv", "\n".join(lines) + "\n")
        stage["parameters"] = {"epochs": 20, "nonlinear": True, "seed": 0}
        stage["summary"] = "accuracy 0.968 (best epoch 11)"

    def make_Evaluator(self, stage):
        made = self.artifact(stage, "evaluation", artifacts.ModelEvaluation)
        self.artifact(stage, "blessing", artifacts.ModelBlessing, blessed=True)
        ours = {task: min(1.0, self.random.uniform(0.5, 1.35)) for task in range(1, self.tasks + 1)}
        ours[1] = 0.40625
        self.figures = [
            PaperFigure(
                "accuracy", round(min(1, value * (0.6 + 0.5 * place)), 2), name, {"task": str(task)}
            )
            for task, value in ours.items()
            for place, name in enumerate(COLUMNS)
        ]
        self.figures += [
            PaperFigure("accuracy", 0.75, "MemNN"),
            PaperFigure("accuracy", 0.93, "AM+NG+NL", remark="mean over the tasks"),
            PaperFigure("hops", 2, "MemNN", remark="fixed"),
        ]
        made.write_json(
            "evaluation.json",
            {
                "split": "test",
                "examples": self.tasks * self.questions,
                "metrics": {"accuracy": 0.871, "hops": 1.9},
                "mean_over_slices": {
                    "slice": "task",
                    "metrics": {"accuracy": 0.968, "hops": 1.8},
                    "standard_deviation": {"accuracy": 0.043},
                },
                "main_value": 0.968,
                "main_label": "mean accuracy",
                "units": {"accuracy": "share of right answers", "hops": "facts read"},
                "main": "accuracy",
                "slices": [
                    {
                        "slice": {"task": str(task)},
                        "count": self.questions,
                        "metrics": {"accuracy": value, "hops": 1.5},
                    }
                    for task, value in ours.items()
                ],
                "baseline": {
                    "metrics": {"accuracy": 0.81},
                    "mean_over_slices": {"slice": "task", "metrics": {"accuracy": 0.961}},
                    "slices": [{"slice": {"task": "2"}, "metrics": {"accuracy": 0.5}}],
                    "uri": "artifacts/babi/Evaluator/older/evaluation",
                },
                "thresholds": [
                    {"check": "accuracy ≥ 0.87", "passed": True, "detail": "0.968"},
                    {"check": "drop ≤ 0.02", "passed": True, "detail": "gained 0.007"},
                ],
                "blessed": True,
            },
        )
        rows = []
        for task in ours:
            for index in range(self.questions):
                right = index % 4 != 0
                row = {"task": str(task), "accuracy": float(right), "hops": 2.0}
                if not right:
                    row["details"] = {
                        "question": f"Where is the football? {EVIL}",
                        "answer": "kitchen",
                        "prediction": "garden",
                    }
                rows.append(json.dumps(row))
        self.write(made, "examples.jsonl", "\n".join(rows) + "\n")
        stage["verdict"] = "BLESSED"
        stage["summary"] = "mean accuracy 0.968, paper 0.93, last blessed 0.961"

    def make_Exporter(self, stage):
        made = self.artifact(stage, "saved_model", artifacts.SavedModel)
        self.write(made, "Format-Serving/saved_model.pb", b"0" * 250_000)
        text = {"dtype": "string", "shape": [None]}
        probability = {"dtype": "float32", "shape": [None]}
        made.write_json(
            "signatures.json",
            {
                "serving_default": {
                    "inputs": {"story": text, "question": text},
                    "outputs": {"answer": text, "probability": probability},
                },
                "serving_examples": {"inputs": {"examples": text}, "outputs": {"answer": text}},
            },
        )
        stage["summary"] = "3 signatures, 8 warm-up requests"

    def make_InfraValidator(self, stage):
        made = self.artifact(stage, "blessing", artifacts.InfraBlessing, blessed=True)
        made.write_json(
            "infra_validation.json",
            {
                "reasons": [],
                "python": "3.11.7",
                "tensorflow": "2.21.0",
                "operations": 61,
                "load_seconds": 1.375,
                "requests": 128,
                "signatures": {
                    "serving_default": {"requests": 64, "differences": {"1": 0.0, "32": 1.2e-7}},
                    "serving_examples": {"requests": 64, "differences": {"1": 0.0, "32": 0.0}},
                },
                "parity": 1.2e-7,
                "latency_milliseconds": {
                    "signature": "serving_default",
                    "p50": 1.125,
                    "p95": 1.875,
                    "values": [1 + self.random.expovariate(3) for _ in range(50)],
                },
            },
        )
        stage["verdict"] = "BLESSED"
        stage["summary"] = "parity 1.2e-7, p95 1.8 ms, 8 warm-up requests"

    def make_Pusher(self, stage):
        made = self.artifact(stage, "pushed_model", artifacts.PushedModel, version=17)
        made.write_json("receipt.json", {"version": 17})
        stage["summary"] = "v17"

    def cut(self, component, state, kind="failed"):
        """Ends the run at a stage: what follows is skipped, and has no outputs."""
        names = list(INPUTS)
        for stage in self.stages[names.index(component) :]:
            stage["state"] = state if stage["component"] == component else "skipped"
            stage["verdict"] = None
            if stage["component"] != component or state == "failed":
                stage.update(outputs={}, properties={}, execution_id=None, summary="", reason="")
        self.run["state"] = kind
        self.run["verdicts"] = {}
        self.run["paths"].pop("pushed_model")
        self.run["error"] = {
            "message": f"{component} could not go on. Received: {EVIL}",
            "component": component,
            "next": "methodical run babi --from-stage " + component,
        }


class Balance(html.parser.HTMLParser):
    """Collects tags that are not closed in order, and everything that a page would load."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.loads, self.links, self.tags = [], [], [], [], set()
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> left open" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.note(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.wrong.append(f"</{tag}> inside {self.open[-3:]}")
        else:
            self.open.pop()

    def note(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        if "src" in values or tag in ("link", "iframe", "object", "embed"):
            self.loads.append((tag, values))
        if tag == "a":
            self.links.append(values["href"])


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "root", story=("Mary went to the hall.", EVIL))


def rendered(world, method=None):
    path = report.render_report(world.run, world.root, method or fake_method(paper=world.figures))
    assert path == os.path.join(world.root, "runs", world.run["run_id"], "report.html")
    with open(path, encoding="utf-8") as reader:
        text = reader.read()
    assert Balance(text).wrong == []
    return text


def plain_text(page):
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.S).group(0)


def test_complete_run(world):
    page = rendered(world)
    text = plain_text(page)
    assert "not reached" not in text
    assert "could not be made" not in text
    assert "problem" not in re.findall(r'class="(\w+)"', page)
    for part in (
        "Evaluator ✓ BLESSED",
        "0.968",
        "paper (AM+NG+NL) 0.93 +0.038",
        "last blessed 0.961 +0.007",
        "Trainer.epochs 20 60",
        "vocabulary 177",
        "same inputs, same parameters, same code",
        "Unexpected string values",
        "examples-00000-of-00001.gz 17 north-north",
        "qa1.txt line 12",
        "spread over it story Mary went to the hall.",
        "accuracy ≥ 0.87",
        "15 of 60 evaluated examples (25.0 %)",
        "largest difference 1.20e-07",
        "latency, 95th percentile 1.88 ms",
        "milliseconds of 50 requests to serving_default",
        "probability float32 [batch] 64 0 1.20e-07",
        "mean accuracy on test",
        "mean (standard deviation 0.043)",
        "all 0.871",
        "hops all MemNN 1.80 2 fixed",
        "v17",
        "methodical run babi --set Trainer.epochs=20",
        "tensorflow/serving --model_config_file=/models/models.config",
    ):
        assert part in text, part
    assert "Trainer.nonlinear" not in text
    assert "<svg><text>60 rows, 1</text></svg>" in page
    assert page.count('class="chart"') >= 3 * 2 + 2 * 2 + 1


def test_self_contained(world):
    page = rendered(world)
    found = Balance(page)
    assert found.loads == []
    assert "script" not in found.tags
    assert not re.search(r"@import|url\(", page)
    outside = [link for link in found.links if not link.startswith("#")]
    assert outside == ["https://arxiv.org/abs/1502.05698"]
    targets = {link[1:] for link in found.links if link.startswith("#")}
    assert targets <= set(re.findall(r'<section id="(\w+)"', page))
    assert "default-src 'none'" in page


def test_text_of_the_data_is_escaped(world):
    page = rendered(world)
    assert "<script" not in page
    assert "<b>bold" not in page
    for name in ("data", "wrong"):
        assert "&lt;script&gt;alert" in section(page, name)


def test_figure_with_a_script_is_refused(world):
    figures = {
        "script": "<svg><script>alert(1)</script></svg>",
        "handler": '<svg onload="alert(1)"></svg>',
        "image": '<svg><image href="https://example.org/x.png"/></svg>',
        "crossed": "<svg><g></svg></g>",
        "open": "<svg><g></g>",
        "fine": '<svg viewBox="0 0 1 1"><a href="#data"><text>fine</text></a></svg>',
    }
    page = rendered(world, drawing(lambda rows: figures))
    assert "alert(1)</script>" not in page
    assert "example.org" not in re.sub("&#39;.*?&#39;", "", page)
    assert page.count("This figure is not shown") == 5
    assert figures["fine"] in page


def test_figures_that_raise_are_told(world):
    def broken(rows):
        raise KeyError("attention")

    text = plain_text(rendered(world, drawing(broken)))
    assert "figures could not be drawn: KeyError: &#39;attention&#39;" in text
    assert "15 of 60 evaluated examples" in text


@pytest.mark.parametrize("component", list(INPUTS))
def test_failed_run(world, component):
    world.cut(component, "failed")
    page = rendered(world)
    assert f"{component} failed" in plain_text(page)
    assert "&lt;script&gt;" in page
    assert "--from-stage " + component in page
    after = len(INPUTS) - 1 - list(INPUTS).index(component)
    assert plain_text(section(page, "stages")).count("not reached") == after
    assert "could not be made" not in page


def test_failed_run_shows_the_dead_letters_kept_for_it(world):
    world.cut("ExampleGen", "failed")
    folder = os.path.join(world.root, "runs", world.run["run_id"])
    os.makedirs(folder)
    with open(os.path.join(folder, "ExampleGen-dead_letters.jsonl"), "w") as writer:
        for line in range(50):
            row = {"source": "qa2.txt", "position": f"line {line}", "reason": "bad"}
            writer.write(json.dumps(row) + "\n")
    row = {"source": "qa3.txt", "position": "line 1", "reason": "bad"}
    with open(os.path.join(folder, "Transform-dead_letters-2.jsonl"), "w") as writer:
        writer.write(json.dumps(row) + "\n")
    text = plain_text(section(rendered(world), "data"))
    assert "51 in all, the first 20 of them" in text
    assert "qa3.txt" not in text
    assert "ExampleGen qa2.txt line 19" in text
    assert "qa2.txt line 20" not in text


def test_stopped_run(world):
    world.cut("Evaluator", "stopped", kind="stopped")
    world.stages[6]["verdict"] = "NOT BLESSED"
    world.run["verdicts"] = {"Evaluator": "NOT BLESSED"}
    page = rendered(world)
    text = plain_text(page)
    assert "Evaluator ✕ NOT BLESSED" in text
    assert "Evaluator stopped the run" in text
    assert "0.968" in section(page, "evaluation")
    assert "not reached" in section(page, "serving")


def test_interrupted_before_anything(world):
    world.run.update(stages=[], state="interrupted", versions={}, machine={}, verdicts={})
    text = plain_text(rendered(world))
    assert text.count("not reached") >= 8


def test_artifacts_that_are_gone_or_broken(world):
    for stage in world.stages:
        for path in stage["outputs"].values():
            for folder, _, names in os.walk(os.path.join(world.root, path)):
                for name in names:
                    with open(os.path.join(folder, name), "wb") as writer:
                        writer.write(b"\xff\x00broken")
    assert rendered(world).count("This part could not be made") >= 4


def test_artifact_folders_that_are_gone(world):
    shutil.rmtree(os.path.join(world.root, "artifacts"))
    page = rendered(world)
    assert "could not be made" not in page
    for name in ("data", "training", "evaluation", "wrong", "serving"):
        assert "not reached" in section(page, name)


def test_timeline_is_one_axis(world):
    page = section(rendered(world), "stages")
    drawn = [
        tuple(map(float, pair)) for pair in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", page)
    ]
    ends = [100 * sum(SECONDS[: index + 1]) / sum(SECONDS) for index in range(len(SECONDS))]
    starts = [0, *ends[:-1]]
    assert [left for left, _ in drawn[:-1]] == pytest.approx(starts[:-1], abs=0.01)
    assert [left + width for left, width in drawn[:-1]] == pytest.approx(ends[:-1], abs=0.02)


def test_training_shows_the_best_epoch(tmp_path):
    world = World(tmp_path, tasks=1, epochs=5)
    path = os.path.join(world.root, world.stages[5]["outputs"]["model_run"], "qa1", "epochs.csv")
    with open(path, "w") as writer:
        writer.write("epoch,loss,val_loss\n1,3,4\n2,2,\n3,1,0.25\n4,0.5,1\n5,0.5,2\n")
    (group,) = report_training.training(Outputs(world.run, world.root))["groups"]
    (chart,) = group["charts"]
    assert (chart["fit"], chart["epoch"], chart["value"]) == ("qa1", 3, "0.250")
    assert "stroke-dasharray" in chart["svg"]
    assert (group["measure"], group["both"]) == ("loss", True)


def test_the_methods_figures_and_tables_of_the_training(tmp_path):
    world = World(tmp_path, tasks=1, epochs=5)
    stage = world.stages[5]
    folder = os.path.join(world.root, stage["outputs"]["model_run"])
    with open(os.path.join(folder, "qa1", "epochs.csv"), "w") as writer:
        writer.write("epoch,loss,layer/p50\n1,3,0.1\n2,2,0.2\n")
    with open(os.path.join(folder, "figures.json"), "w") as writer:
        json.dump([["curve", "<svg><g/></svg>"], ["bad", "<svg><script/></svg>"]], writer)
    stage["properties"]["model_run"] = {
        "tables": [
            {"title": EVIL, "columns": ["fit", "steps"], "rows": [["a", 15000], ["b", None]]}
        ]
    }
    found = report_training.training(Outputs(world.run, world.root))
    assert [group["measure"] for group in found["groups"]] == ["loss"]
    page = section(rendered(world), "training")
    assert "<svg><g/></svg>" in page
    assert "it holds a &lt;script&gt;" in page
    assert '<th scope="row">a</th><td class="n">15,000</td>' in page
    assert '<th scope="row">b</th><td class="n"></td>' in page
    assert "<script>" not in page
    assert "&lt;b&gt;bold" in page


def test_the_methods_pictures_of_its_models(world):
    folder = os.path.join(world.root, world.stages[6]["outputs"]["evaluation"])
    assert 'class="drawn"' not in section(rendered(world), "evaluation")
    with open(os.path.join(folder, "figures.json"), "w") as writer:
        json.dump([[EVIL, "<svg><g/></svg>"], ["bad", "<svg><script/></svg>"]], writer)
    page = section(rendered(world), "evaluation")
    assert "<svg><g/></svg>" in page
    assert "it holds a &lt;script&gt;" in page
    assert "&lt;b&gt;bold" in page
    assert "<script>" not in page


def test_the_method_draws_what_the_evaluator_stored(world):
    folder = os.path.join(world.root, world.stages[6]["outputs"]["evaluation"])
    with open(os.path.join(folder, "plotted.json"), "w") as writer:
        json.dump({"area": 0.75}, writer)
    change(
        world,
        "Evaluator",
        "evaluation",
        "evaluation.json",
        lambda found: found.update(measures=[{"values": {"f": 0.5}}]),
    )
    figures = types.SimpleNamespace(
        plot=lambda values: {"curve": f"<svg><text>area {values['area']}</text></svg>"},
        measure_figures=lambda measures: {"f": f"<svg><text>{len(measures)} sets</text></svg>"},
    )
    page = section(rendered(world, fake_method(figures=figures)), "evaluation")
    assert "area 0.75" in page
    assert "1 sets" in page
    assert "area" not in section(rendered(world), "evaluation")


def test_the_method_sums_up_its_training_from_the_logs(tmp_path):
    world = World(tmp_path, tasks=1, epochs=2)
    stage = world.stages[5]
    folder = os.path.join(world.root, stage["outputs"]["model_run"], "qa1")
    with open(os.path.join(folder, "epochs.jsonl"), "w") as writer:
        writer.write('{"epoch": 1, "loss": 3.0}\n{"epoch": 2, "loss": 1500.0}\n')
    stage["properties"]["model_run"] = {"fits": ["qa1"]}

    def training_summary(parameters, logs):
        rows = [[name, parameters.epochs, epochs[-1]["loss"]] for name, epochs in logs.items()]
        table = Table(EVIL, ["fit", "epochs", "loss"], rows)
        return TrainingSummary([table], {"curve": "<svg><g/></svg>"})

    method = fake_method(figures=types.SimpleNamespace(training_summary=training_summary))
    page = section(rendered(world, method), "training")
    assert '<th scope="row">qa1</th><td class="n">20</td><td class="n">1,500</td>' in page
    assert "<svg><g/></svg>" in page
    assert "&lt;b&gt;bold" in page


def test_a_picture_among_the_samples_is_shown(world, monkeypatch):
    small, large = "data:image/png;base64,AAAA", "data:image/png;base64," + "A" * 200
    monkeypatch.setattr(report_data, "MOST_PICTURE", 100)
    method = fake_method(sample=lambda features: {"small": small, "large": large})
    page = section(rendered(world, method), "data")
    assert f'src="{small}"' in page
    assert large not in page
    assert "too large to show" in page


def test_without_a_method(world):
    path = report.render_report(world.run, world.root, None)
    with open(path, encoding="utf-8") as reader:
        text = plain_text(reader.read())
    assert "id 0 question Where is Mary 0? story Mary went to the hall." in text
    assert "Trainer.nonlinear" in text


def test_no_baseline_is_said(world):
    path = os.path.join(world.root, world.stages[6]["outputs"]["evaluation"], "evaluation.json")
    with open(path) as reader:
        found = json.load(reader)
    found.update(baseline=None)
    with open(path, "w") as writer:
        json.dump(found, writer)
    text = plain_text(rendered(world, fake_method(paper=world.figures, column=None)))
    assert "no baseline yet" in text
    assert "There is no baseline yet" in text
    assert "+0.007" not in text


def test_slices_in_natural_order(tmp_path):
    world = World(tmp_path, tasks=12, questions=4, epochs=2)
    rows = report_evaluation.evaluation(Outputs(world.run, world.root), None)["tables"][0]["rows"]
    assert [row["label"] for row in rows] == [f"task {task}" for task in range(1, 13)]
    assert rows[0]["value"] == "0.406"


def test_slices_without_the_main_metric_have_a_table_of_their_own(world):
    path = os.path.join(world.root, world.stages[6]["outputs"]["evaluation"], "evaluation.json")
    with open(path) as reader:
        found = json.load(reader)
    found["metrics"]["worse"] = None
    found["slices"] += [{"slice": {"quality": "10"}, "count": 1, "metrics": {"worse": 0.4375}}]
    with open(path, "w") as writer:
        json.dump(found, writer)
    section = report_evaluation.evaluation(Outputs(world.run, world.root), None)
    assert [table["by"] for table in section["tables"]] == ["task"]
    assert "worse" not in section["metrics"]
    (further,) = section["further"]
    assert (further["by"], further["metrics"]) == ("quality", ["worse"])
    assert "By quality. quality worse quality 10 0.438" in plain_text(rendered(world))


def change(world, component, output, name, edit):
    """Changes a JSON file of an artifact."""
    stage = next(stage for stage in world.stages if stage["component"] == component)
    path = os.path.join(world.root, stage["outputs"][output], name)
    with open(path) as reader:
        found = json.load(reader)
    edit(found)
    with open(path, "w") as writer:
        json.dump(found, writer)


def add_rows(world, *rows):
    path = os.path.join(world.root, world.stages[6]["outputs"]["evaluation"], "examples.jsonl")
    with open(path, "a") as writer:
        writer.writelines(json.dumps(row) + "\n" for row in rows)


def test_examples_are_the_rows_with_the_main_metric(world):
    add_rows(world, {"task": None, "accuracy": None, "hops": 2.0}, {"task": None, "hops": 1.0})

    def measured(found):
        found.update(rows=62, counts={"accuracy": 60, "hops": 62})
        found["slices"][0].update(count=22, counts={"accuracy": 17, "hops": 22})

    change(world, "Evaluator", "evaluation", "evaluation.json", measured)
    page = rendered(world)
    assert "15 of 60 evaluated examples (25.0 %)" in plain_text(page)
    assert "accuracy on 60 examples of “test”" in plain_text(page)
    section = report_evaluation.evaluation(Outputs(world.run, world.root), None)
    assert [row["count"] for row in section["tables"][0]["rows"]] == ["17", "20", "20"]


def test_examples_of_an_evaluation_of_an_earlier_version(world):
    add_rows(world, *[{"task": None, "accuracy": None, "hops": 2.0}] * 13)

    def measured(found):
        found.update(examples=73, missing={"accuracy": 13, "hops": 0})

    change(world, "Evaluator", "evaluation", "evaluation.json", measured)
    text = plain_text(rendered(world))
    assert "15 of 60 evaluated examples (25.0 %)" in text
    assert "accuracy on 60 examples of “test”" in text


def test_slices_that_a_wrong_answer_has_not_are_left_out(world):
    add_rows(world, {"task": "9", "quality": None, "accuracy": 0.0, "details": {"a": "b"}})
    method = fake_method(slices=("task", "quality"))
    found = report_wrong_answers.wrong_answers(Outputs(world.run, world.root), method)
    assert "task 9" in [row["slice"] for row in found["shown"]]


def test_baselines_stand_beside_the_main_metric(world):
    def baselines(found):
        found["metrics"].update(plain=0.5, other=None)
        found["mean_over_slices"]["metrics"].update(plain=0.625, other=None)
        found["units"]["plain"] = "by counting"

    change(world, "Evaluator", "evaluation", "evaluation.json", baselines)
    metrics = [
        Metric("accuracy", ""),
        Metric("plain", "", baseline=True),
        Metric("other", "", baseline=True),
    ]
    page = rendered(world, fake_method(metrics=metrics, paper=world.figures))
    assert "plain 0.625 +0.343" in plain_text(page)
    assert '<abbr title="by counting">plain</abbr>' in page


def test_figures_measured_otherwise_do_not_stand_beside_ours(world):
    paper = [
        dataclasses.replace(figure, measured_at={"far": 0.001})
        if not figure.slice or figure.column == "MemNN"
        else figure
        for figure in world.figures
    ]
    paper = [dataclasses.replace(figure, remark="") for figure in paper]
    world.stages[6]["parameters"] = {"far": 0.01}
    method = fake_method(paper=paper)
    text = plain_text(rendered(world, method))
    assert "paper (AM+NG+NL)" not in text
    assert "hops all MemNN – 2 measured at far 0.001, ours at 0.01" in text
    assert "accuracy all AM+NG+NL – 0.930 measured at far 0.001, ours at 0.01" in text
    found = report_evaluation.evaluation(Outputs(world.run, world.root), method)
    assert found["columns"] == ["AM+NG+NL"]


def test_type_of_a_feature_is_that_of_a_split_with_values(world):
    from methodical.components.statistics_gen import statistics_proto
    from tensorflow_metadata.proto.v0 import statistics_pb2

    assert report_data.EMPTY == statistics_proto.EMPTY
    stage = world.stages[1]
    path = os.path.join(
        world.root, stage["outputs"]["statistics"], "Split-train", "FeatureStats.pb"
    )
    with open(path, "rb") as reader:
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(reader.read())
    for feature in found.datasets[0].features:
        if feature.name == "answer":
            feature.type = statistics_pb2.FeatureNameStatistics.INT
            feature.num_stats.mean = 0.0
            feature.custom_stats.add(name=statistics_proto.EMPTY, num=1)
    with open(path, "wb") as writer:
        writer.write(found.SerializeToString())
    section = report_data.statistics(Outputs(world.run, world.root))
    answer = next(row for row in section["features"] if row["name"] == "answer")
    assert answer["type"] == "string"
    assert answer["cells"]["train"]["facts"] == [("values", "none")]
    assert answer["cells"]["eval"]["top"]
    assert "values none" in plain_text(rendered(world))


def test_rows_past_the_limit_are_not_read(world, monkeypatch):
    monkeypatch.setattr(report_wrong_answers, "ROWS", 8)
    assert "2 of the first 8 evaluated examples (25.0 %)" in plain_text(rendered(world))


def test_request_of_a_real_example(world):
    page = plain_text(section(rendered(world), "serving"))
    body = html.unescape(re.search(r"-d &#39;(.*)&#39;", page).group(1))
    (instance,) = json.loads(body.replace("'\"'\"'", "'"))["instances"]
    assert instance == {"story": f"Mary went to the hall.\n{EVIL}", "question": "Where is Mary 0?"}


def test_request_leaves_out_large_features():
    run = {"run_id": "r", "method": "faces", "stages": []}
    signatures = {"serving_default": {"inputs": {"image": {}, "size": {}}}}
    commands = report_serving.serve_commands(
        Outputs(run, "/data/my root"), signatures, {"image": [b"\xff\xd8" * 5000], "size": [0]}
    )
    assert '{"instances": [{"image": {"b64": "<base64 of image>"}, "size": 0}]}' in commands["curl"]
    assert "models/faces:predict" in commands["curl"]
    assert "-v '/data/my root/serving:/models'" in commands["docker"]


def test_what_was_done_to_the_exported_models(world):
    stage = next(stage for stage in world.stages if stage["component"] == "Exporter")
    stage["properties"]["saved_model"] = {"facts": {"folding": "2 of 3 folded\n  a  into b"}}
    page = section(rendered(world), "serving")
    assert "<summary>2 of 3 folded</summary>" in page
    assert "  a  into b" in page


def test_request_has_bytes_as_base64(world):
    run = {"run_id": "r", "method": "digits", "stages": []}
    signatures = {"serving_default": {"inputs": {"image": {}}}}
    commands = report_serving.serve_commands(
        Outputs(run, "/data/root"), signatures, {"image": [b"\x89PNG"]}
    )
    assert '{"instances": [{"image": {"b64": "iVBORw=="}}]}' in commands["curl"]


def test_split_rows_takes_the_slices_in_turn():
    rows = [
        {"task": task, "score": score}
        for task, score in (("1", 0.1), ("1", 0), ("1", 1), ("2", 0.5), ("10", 0.2), ("2", 1))
    ]
    wrong, right = report_wrong_answers.split_rows(rows, "score", True, ["task"])
    assert [(row["task"], row["score"]) for row in wrong] == [
        ("1", 0),
        ("2", 0.5),
        ("10", 0.2),
        ("1", 0.1),
    ]
    assert [row["score"] for row in right] == [1, 1]
    wrong, _ = report_wrong_answers.split_rows([{"score": 0}, {"score": 0}], "score", True, [])
    assert len(wrong) == 2
    wrong, _ = report_wrong_answers.split_rows([{"loss": 0}, {"loss": 3}], "loss", False, [])
    assert wrong == [{"loss": 3}]
    # Pairs of a mean and a count, and rows without the metric.
    rows = [{"loss": [0.5, 9]}, {"loss": [2, 1]}, {"loss": None}, {"loss": [0, 4]}]
    wrong, right = report_wrong_answers.split_rows(rows, "loss", False, [])
    assert (wrong, right) == ([rows[1], rows[0]], rows[2:])


@pytest.mark.parametrize(
    ("value", "reference", "higher", "expected"),
    [
        (0.968, 0.93, True, ("+0.038", "good")),
        (0.9, 0.93, True, ("−0.030", "bad")),
        (1.5, 2.0, False, ("−0.500", "good")),
        (1.0, 1.0, True, ("±0", "")),
        (1234.4, 1234.3, True, ("±0", "")),
        (1.0, None, True, ("", "")),
    ],
)
def test_delta(value, reference, higher, expected):
    found = report_evaluation.delta(value, reference, higher)
    assert (found["text"], found["tone"]) == expected


def test_spread_records(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.gz", "b.gz")]
    for place, path in enumerate(paths):
        tfrecord.write_records(path, (b"%d" % (10 * place + index) for index in range(10)))
    assert report_data.spread_records(paths, 4) == [b"0", b"5", b"10", b"15"]
    assert report_data.spread_records(paths, 2, most=6) == [b"0", b"3"]
    assert report_data.spread_records(paths[:1], 50) == [b"%d" % index for index in range(10)]
    assert report_data.spread_records([], 4) == []


def test_lineage_edges(world):
    found = set(report_lineage.edges(world.stages))
    for edge in (
        ("ExampleGen", "examples", "StatisticsGen"),
        ("Transform", "transformed_examples", "Trainer"),
        ("Transform", "transform_graph", "Trainer"),
        ("ExampleGen", "examples", "Evaluator"),
        ("Evaluator", "blessing", "Pusher"),
        ("InfraValidator", "blessing", "Pusher"),
    ):
        assert edge in found
    assert len(found) == sum(map(len, INPUTS.values())) - 1
    page = section(rendered(world), "lineage")
    assert "from an earlier run" in page
    assert "baseline (execution 41): made by an earlier run, read by Evaluator" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (58, "58.0 s"), (245, "4 min 05 s"), (7265, "2 h 01 min"), (None, "")],
)
def test_duration(seconds, text):
    assert report.duration(seconds) == text


def test_tensorflow_is_not_loaded(world):
    rendered(world)
    with open(os.path.join(world.root, "run.json"), "w") as writer:
        json.dump(world.run, writer)
    code = (
        "import json, sys\n"
        "from methodical.pipeline.report import report\n"
        f"run = json.load(open({os.path.join(world.root, 'run.json')!r}))\n"
        f"page = report.report_html(run, {world.root!r})\n"
        "assert 'could not be made' not in page\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.strip() == ""
