"""A toy project of three components in plain Python, which tests edit, run, kill and damage."""

import importlib
import json
import os
import subprocess
import sys
import textwrap
import uuid

import pytest
from methodical.pipeline.run.runner import Runner

HELPER = '''
"""A helper."""


def double(value):
    """Doubles."""
    return value + value  # twice
'''

STAGES = '''
import json, os, signal, time

from methodical.components.base import artifacts
from methodical.components.io import filesystem
from methodical.components.base.component import Component, Stop
from methodical.components.base.errors import BadDataError
from methodical.components.base.parameters import Parameters as BaseParameters


def misbehave(context, component):
    """Does what the file TOY_BEHAVIOR says for this component, once."""
    path = os.environ.get("TOY_BEHAVIOR", "")
    if not os.path.exists(path):
        return
    with open(path) as reader:
        wanted = json.load(reader)
    action = wanted.pop(component, None)
    with open(path, "w") as writer:
        json.dump(wanted, writer)
    staged = next(iter(context.outputs.values()))
    if action == "crash":
        raise RuntimeError("the disc came off")
    if action == "bad data":
        staged.write_json("dead_letters.jsonl", {"reason": "no answer"})
        raise BadDataError("3 of 4 records are bad.")
    if action == "kill":
        staged.write_json("half.json", [1, 2])
        with open(os.path.join(context.checkpoint_dir, "epoch"), "w") as writer:
            writer.write("7")
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "fill":
        with open(staged.path("big"), "wb") as writer:
            while True:
                writer.write(bytes(1 << 20))
    if action == "wait":
        print("waiting", flush=True)
        time.sleep(60)
    if action == "stop":
        context.stop = Stop("bad_data", "There are anomalies.")


class ExampleGen(Component):
    OUTPUTS = {"examples": artifacts.Examples}
    FUNCTIONS = {"read": "reads"}

    class Parameters(BaseParameters):
        count: int = 3

    @staticmethod
    def execute(context):
        misbehave(context, "ExampleGen")
        values = list(context.functions["read"](context.parameters, context.data_dir))
        context.outputs["examples"].write_json("values.json", values)
        context.outputs["examples"].properties["splits"] = {"train": len(values)}
        context.summary = f"{len(values)} examples, 0 bad"
        context.counters["examples"] = len(values)


class Trainer(Component):
    INPUTS = {"examples": artifacts.Examples}
    OUTPUTS = {"model": artifacts.Model}
    FUNCTIONS = {"fits": "fits"}

    class Parameters(BaseParameters):
        epochs: int = 2
        name: str = "plain"

    @staticmethod
    def execute(context):
        from .helper import double

        epoch = os.path.join(context.checkpoint_dir, "epoch")
        if os.path.exists(epoch):
            with open(epoch) as reader:
                context.counters["resumed_from"] = int(reader.read())
        misbehave(context, "Trainer")
        context.progress(0.5, "epoch 1")
        values = context.inputs["examples"].read_json("values.json")
        total = context.functions["fits"](double(sum(values)), context.parameters.epochs)
        filesystem.make_dirs(context.outputs["model"].path("Format-Keras"))
        context.outputs["model"].write_json("Format-Keras/toy.json", total)
        context.summary = f"total {total}"


class Evaluator(Component):
    INPUTS = {"model": artifacts.Model, "before": artifacts.ModelEvaluation}
    OPTIONAL_INPUTS = frozenset({"before"})
    OUTPUTS = {"evaluation": artifacts.ModelEvaluation, "blessing": artifacts.ModelBlessing}
    FUNCTIONS = {"metrics": "metrics", "column": "column"}

    class Parameters(BaseParameters):
        min_value: float = 0.0

    @staticmethod
    def execute(context):
        misbehave(context, "Evaluator")
        value = context.inputs["model"].read_json("Format-Keras/toy.json")
        main = next(iter(context.functions["metrics"]))
        before = None
        if "before" in context.inputs:
            before = context.inputs["before"].read_json("evaluation.json")["metrics"][main]
        context.outputs["evaluation"].write_json(
            "evaluation.json",
            {"main": main, "main_value": value, "main_label": main, "metrics": {main: value},
             "slices": [], "paper": [], "before": before},
        )
        blessed = value >= context.parameters.min_value
        context.outputs["blessing"].properties["blessed"] = blessed
        context.summary = f"{main} {value}, last blessed {before}"
        if not blessed:
            context.stop = Stop("not_blessed", f"{main} is too low. Received: {value}")
'''

METHOD = '''
"""The functions of a method."""

from . import helper

SCALE = 10


def numbers(count):
    return range(count)


def read(parameters, data_dir):
    if data_dir:
        with open(data_dir) as reader:
            return [int(line) for line in reader]
    return numbers(parameters.count)


def scaled(value):
    return value * SCALE


def fits(value, epochs):
    return scaled(value) + epochs


METRICS = {"total": "a number"}
column = lambda parameters: "paper"
'''

MAIN = """
import json, sys

from {package} import method, stages
from methodical.components.base.artifacts import ModelEvaluation
from methodical.components.base.component import LatestBlessed
from methodical.pipeline.cli.screen import new_screen
from methodical.pipeline.run.pipeline import Pipeline
from methodical.pipeline.run.runner import Runner


def build(settings, source="counted", data_dir=None):
    generate = stages.ExampleGen(
        parameters=settings.get("ExampleGen"), functions={{"read": method.read}}
    )
    train = stages.Trainer(
        inputs={{"examples": generate.outputs["examples"]}},
        parameters=settings.get("Trainer"),
        functions={{"fits": method.fits}},
    )
    evaluate = stages.Evaluator(
        inputs={{
            "model": train.outputs["model"], "before": LatestBlessed(ModelEvaluation)
        }},
        parameters=settings.get("Evaluator"),
        functions={{"metrics": method.METRICS, "column": method.column}},
    )
    return Pipeline("toy", source, [generate, train, evaluate], data_dir=data_dir)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    pipeline, root = build(options.pop("settings")), options.pop("root")
    record = Runner(
        pipeline, root, listener=new_screen(sys.stderr), command="toy run", **options
    ).run()
    print(json.dumps(record))
    sys.exit(record["exit_code"])
"""


class Toy:
    """The project's files in a folder of their own, and its pipeline."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.root = str(folder / "root")
        self.package = f"toy_{uuid.uuid4().hex}"
        self.behavior = folder / "behavior.json"
        self.monkeypatch = monkeypatch
        (folder / self.package).mkdir()
        for name, text in (
            ("__init__.py", ""),
            ("helper.py", HELPER),
            ("stages.py", STAGES),
            ("method.py", METHOD),
            ("main.py", MAIN.format(package=self.package)),
        ):
            (folder / self.package / name).write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("TOY_BEHAVIOR", str(self.behavior))
        self.main = importlib.import_module(f"{self.package}.main")

    def edit(self, name, old, new):
        """Replaces text in a source file; a loaded module stays as it is."""
        path = self.folder / self.package / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def behave(self, **actions):
        """Says what a component does in its next execution."""
        self.behavior.write_text(json.dumps(actions))

    def runner(self, settings=None, root=None, source="counted", data_dir=None, **options):
        pipeline = self.main.build(settings or {}, source, data_dir)
        return Runner(pipeline, root or self.root, command="toy run", **options)

    def run(self, settings=None, **options):
        """Runs the pipeline in this process and returns the record."""
        return self.runner(settings, **options).run()

    def start(self, settings=None, **options):
        """Starts the pipeline in a process of its own."""
        options = {"root": self.root, "settings": settings or {}, **options}
        return subprocess.Popen(
            [sys.executable, "-m", f"{self.package}.main", json.dumps(options)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def artifact(self, record, component, output):
        """Returns an output's folder."""
        return os.path.join(self.root, stage(record, component)["outputs"][output])

    def files(self):
        """Returns all files below the root with their contents' length, but the store's."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if "metadata.sqlite" not in name:
                    found[os.path.relpath(path, self.root)] = os.path.getsize(path)
        return found


def stage(record, component):
    return next(entry for entry in record["stages"] if entry["component"] == component)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A fresh toy project with a root of its own."""
    made = Toy(tmp_path, monkeypatch)
    yield made
    for name in [name for name in sys.modules if name.startswith(made.package)]:
        del sys.modules[name]


@pytest.fixture
def reasons():
    """Returns a run's reasons by component."""
    return lambda record: {entry["component"]: entry["reason"] for entry in record["stages"]}


@pytest.fixture
def states():
    """Returns a run's states by component."""
    return lambda record: {entry["component"]: entry["state"] for entry in record["stages"]}


@pytest.fixture
def get_stage():
    """Returns one stage of a run."""
    return stage


@pytest.fixture
def dedent():
    return textwrap.dedent
