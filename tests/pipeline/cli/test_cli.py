"""The command line: usage errors, the JSON document, exit codes, what it does not import."""

import json
import os
import pathlib
import subprocess
import sys
import types

import click.testing
import pytest
from methodical.components.base.parameters import Parameters
from methodical.components.evaluator.metric import Metric
from methodical.pipeline import methods
from methodical.pipeline.cli import main as cli
from methodical.pipeline.cli import pushed_model
from methodical.pipeline.methods.method import DataKind, Method, Source
from methodical.pipeline.report import report
from methodical.pipeline.run import build, run_record
from packaging.requirements import Requirement

HEAVY = ("tensorflow", "keras", "apache_beam", "numpy", "matplotlib", "jinja2", "sklearn")


class ReadOptions(Parameters):
    count: int = 3


class TrainOptions(Parameters):
    epochs: int = 2
    name: str = "plain"


def nothing(*arguments):
    return None


METHOD = Method(
    name="toy",
    title="A toy",
    paper="Nobody (2026)",
    sources={
        "counted": Source("counts", nothing, ReadOptions),
        "files": Source("reads your files", nothing, needs_data_dir=True),
    },
    package="methodical.pipeline.methods.toy",
    data=DataKind(nothing, nothing, nothing, nothing),
    metrics=(Metric("total", "a number"),),
    trainer_options=TrainOptions,
)


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Calls the command line in this process, with a toy method registered."""
    monkeypatch.setitem(methods._METHODS, "toy", "toy")
    monkeypatch.setitem(sys.modules, METHOD.package, types.SimpleNamespace(METHOD=METHOD))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METHODICAL_ROOT", raising=False)

    def run(*arguments, input=None):
        return click.testing.CliRunner().invoke(cli.main, arguments, input=input)

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "toi"], "There is no method 'toi'; did you mean 'toy'?"),
        (["run", "toy", "--data", "counter"], "no source 'counter'; did you mean 'counted'?"),
        (
            ["run", "toy", "--data-dir", "."],
            "reads no files: choose one that does with --data files",
        ),
        (["run", "toy", "--data", "files"], "name the file or folder with --data-dir"),
        (["run", "toy", "--data", "files", "--data-dir", "/no/such"], "exists. Received: /no/such"),
        (["run", "toy", "--set", "trainr.epochs=3"], "'trainr'; did you mean 'trainer'?"),
        (["run", "toy", "--set", "trainer.epoch=3"], "'epoch'; did you mean 'epochs'?"),
        (["run", "toy", "--set", "Trainer.epochs=many"], "epochs: Input should be a valid integer"),
        (["run", "toy", "--set", "epochs=3"], "takes component.parameter=value"),
        (["run", "toy", "--from-stage", "trainr"], "'trainr'; did you mean 'trainer'?"),
        (["run", "toy", "--from-stage", "pusher", "--to-stage", "trainer"], "does not need"),
        (["run", "toy", "--rot", "/tmp"], "No such option"),
        (["run", "toy", "more"], "unexpected extra argument"),
        (["run", "toy", "--config", "missing.json"], "missing.json cannot be read"),
        (["run", "toy", "--", "--direct_num_worker=2"], "did you mean --direct_num_workers?"),
        (["run", "toy", "--", "--dry-run"], "flags of methodical itself go before"),
        (["run", "toy", "--", "--runner=no.such.Runner"], "cannot be imported (No module named"),
        (
            ["run", "toy", "--", "stray"],
            "must be flags such as --runner=FnApiRunner. Received: 'stray'",
        ),
        (["push", "toy"], "add --rollback"),
    ],
)
def test_usage_errors_name_what_is_wrong(call, arguments, says):
    result = call(*arguments)
    assert result.exit_code == 2
    text = " ".join(result.output.split())
    # click frames long messages; what is looked for may be broken over lines.
    assert says.replace(" ", "") in text.replace(" ", "").replace("│", "")
    assert not os.path.exists("methodical_root")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"dta": "counted"}', "unknown key 'dta'; did you mean 'data'?"),
        (
            '{"no_cache": "yes"}',
            "'no_cache' takes a truth value (true or false). Received: \"yes\"",
        ),
        ('{"data": 3}', "'data' takes a text. Received: 3"),
        ('{"trainer.epoch": 3}', "did you mean 'epochs'?"),
        ('{"trainer": {"epochs": "many"}}', "epochs: Input should be a valid integer"),
        ("[1]", "holds a JSON object. Received: list"),
        ("{", "cannot be read"),
        ('{"data": "a", "data": "b"}', "the key 'data' stands there twice"),
    ],
)
def test_config_errors_name_the_key(call, content, says):
    pathlib.Path("c.json").write_text(content)
    result = call("run", "toy", "--config", "c.json")
    assert result.exit_code == 2
    assert says.replace(" ", "") in "".join(result.output.split()).replace("│", "")


def test_settings_reach_the_components_and_the_command_line_wins(call, monkeypatch):
    config = {"data": "counted", "no_cache": True, "trainer": {"epochs": 3, "name": "a"}}
    pathlib.Path("c.json").write_text(json.dumps(config))
    result = call(
        "run", "toy", "--config", "c.json", "--dry-run", "--json",
        "--set", "trainer.name=7", "--set", "example_gen.splits={\"train\": 4, \"eval\": 1}",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    stages = {entry["component"]: entry for entry in record["stages"]}
    assert stages["Trainer"]["parameters"].items() >= {"epochs": 3, "name": "7"}.items()
    assert stages["ExampleGen"]["parameters"]["splits"] == {"train": 4, "eval": 1}
    assert {entry["reason"] for entry in record["stages"]} == {"--no-cache"}
    assert len(record["stages"]) == 10
    assert not os.path.exists("methodical_root")


def test_dry_run_shows_lines(call):
    result = call("run", "toy", "--dry-run")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 10
    assert lines[0].split() == ["ExampleGen", "would", "run", "first", "run"]


@pytest.fixture
def with_toy_stages(monkeypatch, toy):
    monkeypatch.setattr(build, "build_pipeline", lambda *given, **named: toy.main.build({}))
    return toy


def test_run_shows_stages_and_gives_one_document(call, with_toy_stages, monkeypatch):
    monkeypatch.setattr(report, "render_report", lambda record, root, method: "")
    shown = call("run", "toy", "--root", "r")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].startswith("run ")
    assert any(line.split()[:2] == ["Evaluator", "BLESSED"] for line in lines)
    assert any(line.startswith("report") for line in lines)


def write_pushed_model(root):
    """Writes what says how the toy's model is asked, with no graph."""
    inputs = {name: {"help": f"the {name}", "file": False} for name in ("story", "question")}
    folder = pathlib.Path(root, "serving/toy/1/assets.extra")
    folder.mkdir(parents=True)
    described = {"serving_default": {"inputs": inputs}}
    (folder / "signatures.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("arguments", "root", "ending"),
    [((), None, ""), (("--root", "r"), None, " --root r"), ((), "r", "")],
)
def test_finished_run_says_how_to_ask_the_pushed_model(
    call, with_toy_stages, monkeypatch, arguments, root, ending
):
    monkeypatch.setattr(report, "render_report", lambda record, root, method: "")
    if root:
        monkeypatch.setenv("METHODICAL_ROOT", root)
    assert "ask it" not in call("run", "toy", *arguments).output
    monkeypatch.setattr(
        run_record,
        "take_results",
        lambda record, *given: record["paths"].update(pushed_model="serving/toy/1"),
    )
    write_pushed_model(arguments[1] if arguments else root or "methodical_root")
    lines = call("run", "toy", *arguments).output.splitlines()
    (asked,) = [line.split(maxsplit=2)[2] for line in lines if line.startswith("ask it ")]
    assert asked == f"methodical predict toy --story STORY --question QUESTION{ending}"
    record = json.loads(call("run", "toy", *arguments, "--json").stdout)
    assert record["ask"] == asked


def test_examples_of_the_help_are_of_the_method(call):
    said = call("run", "toy", "--help").output
    assert "  methodical run toy\n  methodical run toy --data files --data-dir PATH\n" in said
    assert "babi" not in said
    assert "methodical run babi --data files" in call("run", "--help").output


def test_exit_code_and_message_of_a_failed_run(call, with_toy_stages):
    with_toy_stages.behave(Trainer="bad data")
    result = call("run", "toy", "--root", "r")
    assert result.exit_code == 3
    assert "3 of 4 records are bad." in result.output
    assert "next " in result.output


def test_runs_lineage_and_report(call, with_toy_stages, monkeypatch):
    monkeypatch.setattr(report, "render_report", lambda record, root, method: f"{root}/x.html")
    assert "No run yet" in call("runs", "--root", "r").output
    assert call("lineage", "--root", "r").exit_code == 1
    call("run", "toy", "--root", "r")
    call("run", "toy", "--root", "r", "--no-cache")
    runs = json.loads(call("runs", "--root", "r", "--json").output)
    assert [(run["state"], run["metric"], run["value"]) for run in runs] == [
        ("complete", "total", 62),
        ("complete", "total", 62),
    ]
    assert runs[1]["run_id"] in call("runs", "--root", "r").output
    tree = call("lineage", "artifacts/toy/Evaluator/3/evaluation", "--root", "r").output
    for text in ("artifact", "ExampleGen execution 1", "Trainer execution 2", "epochs=2", "python"):
        assert text in tree
    found = json.loads(call("lineage", "5", "--root", "r", "--json").output)
    assert [entry["id"] for entry in found["executions"]] == [4, 5]
    folder = os.path.abspath("r/artifacts/toy/Trainer/5")
    again = json.loads(call("lineage", folder, "--root", "r", "--json").output)
    assert again["executions"] == found["executions"]
    assert call("lineage", "nothing", "--root", "r").exit_code == 2
    assert call("report", "--root", "r").output.strip().endswith("x.html")
    assert call("report", "20200101", "--root", "r").exit_code == 2


def test_killed_run_is_shown_as_killed(call, with_toy_stages):
    with_toy_stages.behave(Trainer="kill")
    process = with_toy_stages.start()
    process.communicate(timeout=60)
    runs = json.loads(call("runs", "--root", with_toy_stages.root, "--json").output)
    assert [run["state"] for run in runs] == ["killed"]


def test_locked_root_has_its_exit_code(call, with_toy_stages):
    from methodical.pipeline.run.lock import hold

    with hold(os.path.abspath("r/lock"), "someone"):
        result = call("run", "toy", "--root", "r")
        assert result.exit_code == 6
        assert f"pid {os.getpid()}" in result.output
        assert call("push", "toy", "--rollback", "--root", "r").exit_code == 6


def test_what_a_graph_complains_of_is_one_line():
    message = (
        "Graph execution error:\n\nDetected at node Assert defined at (most recent call last):\n"
        "<stack traces unavailable>\nassertion failed: [An image must be a PNG file.] [0]\n"
        "\t [[{{node Assert}}]] [Op:__inference_signature_wrapper_1525]"
    )
    assert pushed_model.complaint(message) == "[An image must be a PNG file.] [0]"


def test_predict_without_a_model_names_the_command(call):
    result = call("predict", "toy", "--story", "a", "--question", "b", "--root", "r")
    assert result.exit_code == 1
    assert "methodical run toy --root" in result.output


@pytest.mark.parametrize("place", ["option", "variable", "default"])
def test_predict_reads_the_inputs_of_the_model_in_the_root(call, monkeypatch, place):
    write_pushed_model({"default": "methodical_root"}.get(place, "r"))
    if place == "variable":
        monkeypatch.setenv("METHODICAL_ROOT", "r")
    root = ["--root", "r"] if place == "option" else []
    result = call("predict", "toy", *root)
    assert result.exit_code == 2
    assert "Missing option '--story'" in result.output
    said = " ".join(call("predict", "toy", "--help", *root).output.split())
    assert "--story TEXT the story [required] --question TEXT the question" in said
    assert "No model of toy" in call("predict", "toy", "--help", "--root", "nowhere").output


def test_doctor_examines_the_machine(call, monkeypatch):
    result = call("doctor", "--json")
    found = {entry["name"]: entry for entry in json.loads(result.output)["findings"]}
    assert found["click"]["state"] == "ok"
    assert found["root"]["state"] == "ok"
    from methodical.pipeline.cli import doctor

    for text in ("click>=99", "no-such-package>=1", "click<1"):
        assert doctor._requirement(Requirement(text))["state"] == "broken"
    pathlib.Path("methodical_root").mkdir()
    pathlib.Path("methodical_root/metadata.sqlite").write_text("rubbish" * 100)
    result = call("doctor")
    assert result.exit_code == 1
    assert "damaged" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["run", "--help"],
        ["run", "babi", "--set", "trainer.epoch=3"],
        ["run", "babi", "--dry-run"],
        ["predict", "babi", "--help"],
        ["runs"],
        ["doctor"],
    ],
)
def test_light_commands_import_nothing_heavy(tmp_path, arguments):
    script = (
        "import sys\n"
        "from methodical.pipeline.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    code = end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    expected = 2 if "trainer.epoch=3" in arguments else 0
    assert done.returncode == expected, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_json_document_stands_alone_on_stdout(tmp_path):
    """A library that writes to file descriptor 1 must not spoil the document."""
    script = """
import os, sys
from methodical.pipeline.cli import options, streams
with streams.only_json_on_stdout(True) as document:
    os.system("echo noise")
    print("noise too")
    options.write_json({"a": 1}, document)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert json.loads(done.stdout) == {"a": 1}
    assert done.stderr.split() == ["noise", "noise", "too"]
