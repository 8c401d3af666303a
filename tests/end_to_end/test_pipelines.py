"""What every pipeline must do; a method joins by being registered."""

import collections
import dataclasses
import functools
import json
import math
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
import zlib

import numpy as np
import pytest
from methodical.components.exporter import prediction_log
from methodical.pipeline import methods
from methodical.pipeline.run.build import build_pipeline
from methodical.pipeline.run.runner import Runner

METHODS = [methods.find(name) for name in methods.names()]
STAGES = [
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "Trainer",
    "Evaluator",
    "Exporter",
    "InfraValidator",
    "Pusher",
]
MEASURED = STAGES[: STAGES.index("Evaluator") + 1]
"""How a stage is published, cached and gone on with is the same code for all methods: the first
method goes through all stages each time. What another can get wrong shows in its metrics, and its
served model has tests of its own."""


def measured(run: dict) -> dict:
    return run["metrics"]["metrics"]


every_method = pytest.mark.parametrize("method", METHODS, ids=[m.name for m in METHODS])
first_method = pytest.mark.parametrize("method", METHODS[:1], ids=[METHODS[0].name])


@every_method
def test_a_run_goes_through_every_stage_and_pushes_a_version(finished, method):
    line, run = finished(method)
    assert [stage["component"] for stage in run["stages"]] == STAGES
    assert {stage["state"] for stage in run["stages"]} == {"done"}
    assert run["state"] == "complete"
    assert run["exit_code"] == 0
    main = method.metrics[0].name
    assert math.isfinite(measured(run)[main])
    pushed = line.root / "serving" / method.name / "1"
    assert (pushed / "saved_model.pb").is_file()
    assert f'name: "{method.name}"' in (line.root / "serving" / "models.config").read_text()
    report = (line.root / run["paths"]["report"]).read_text()
    assert f"{run['run_id']}" in report


@every_method
def test_no_absolute_path_enters_an_artifact(finished, method):
    line, _ = finished(method)
    root = str(line.root).encode()
    holding = [
        path
        for path in (line.root / "artifacts").rglob("*")
        if path.is_file() and root in path.read_bytes()
    ]
    assert holding == []


@every_method
def test_the_same_again_is_cached(finished, command_line, method):
    line, first = finished(method)
    line = command_line("again", copy_of=line.root)
    again = line.run(method)
    assert {stage["state"] for stage in again["stages"]} == {"cached"}
    assert measured(again) == measured(first)


@first_method
def test_one_parameter_runs_only_what_hangs_on_it(finished, command_line, method):
    line, _ = finished(method)
    line = command_line("changed", copy_of=line.root)
    changed = line.run(method, "--set", "trainer.seed=1")
    states = {name: stage["state"] for name, stage in line.stages(changed).items()}
    assert states == {name: "cached" if name in STAGES[:5] else "done" for name in STAGES}
    assert "seed" in line.stages(changed)["Trainer"]["reason"]
    assert (line.root / "serving" / method.name / "2").is_dir()


@first_method
def test_an_altered_artifact_is_found_and_rebuilt(finished, command_line, method):
    line, first = finished(method)
    line = command_line("altered", copy_of=line.root)
    uri = line.stages(first)["Transform"]["outputs"]["transformed_examples"]
    shard = next(iter(sorted((line.root / uri).rglob("Split-train/*"))))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    stage = line.stages(line.run(method, "--to-stage", "Transform"))["Transform"]
    assert stage["state"] == "done"
    assert shard.name in stage["reason"]
    rebuilt = line.root / stage["outputs"]["transformed_examples"]
    assert next(iter(sorted(rebuilt.rglob("Split-train/*")))).read_bytes() == whole


@every_method
def test_killed_on_the_way_it_goes_on_to_the_same_metrics(finished, command_line, method):
    _, undisturbed = finished(method)
    line = command_line("killed")
    killed = []
    stages = _stages_of(method)
    for stage in stages if stages == STAGES else ("Transform", "Trainer"):
        process = line.start("run", method.name, *line.tiny(method))
        if _wait_until_running(line.root, stage, process):
            os.killpg(process.pid, signal.SIGKILL)
            killed.append(stage)
        process.communicate()
    assert set(killed) >= {"Transform", "Trainer"}
    run = line.run(method, "--to-stage", stages[-1])
    assert measured(run) == measured(undisturbed)
    # The folder is gone where nothing was left to run: the last kill came after the last stage.
    assert list((line.root / "staging").rglob("*")) == []
    if stages == STAGES:
        assert "InfraValidator" in killed
        assert os.listdir(line.root / "serving" / method.name) == ["1"]


def _stages_of(method) -> list[str]:
    return STAGES if method is METHODS[0] else MEASURED


def _wait_until_running(root, component, process) -> bool:
    """Waits until the metadata store says that a component runs; false if the run ended first."""
    database = root / "metadata.sqlite"
    while process.poll() is None:
        if database.exists():
            connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
            try:
                found = connection.execute(
                    "SELECT 1 FROM Execution WHERE last_known_state = 'RUNNING' AND type = ?",
                    (component,),
                ).fetchall()
            except sqlite3.OperationalError:  # the tables are being made
                found = []
            finally:
                connection.close()
            if found:
                return True
        time.sleep(0.001)
    return False


@every_method
def test_the_pushed_model_answers_in_a_process_without_this_project(finished, method, tmp_path):
    """A script with nothing but TensorFlow replays the warm-up requests of the pushed model."""
    line, run = finished(method)
    pushed = line.root / "serving" / method.name / "1"
    requests = pushed / "assets.extra" / "tf_serving_warmup_requests"
    rows = collections.defaultdict(list)
    for signature, inputs in prediction_log.read_requests(str(requests)):
        rows[signature].append(inputs)
    np.savez(
        tmp_path / "requests.npz",
        **{
            f"{signature}/{name}": np.concatenate([row[name] for row in of_signature])
            for signature, of_signature in rows.items()
            for name in of_signature[0]
            if len({row[name].shape for row in of_signature}) == 1
        },
    )
    references = line.root / line.stages(run)["Exporter"]["outputs"]["saved_model"]
    script = pathlib.Path(__file__).with_name("clean_process.py")
    arguments = [str(pushed), str(tmp_path / "requests.npz"), str(references / "references.npz")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), sysconfig.get_path("purelib"), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(tmp_path)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["project_importable"] is False
    assert answer["compared"] > 0
    assert answer["largest_difference"] <= 1e-5
    assert answer["unequal"] == 0


def _spoilt(read, parameters, data_dir):
    """A method's source with about every fourth record turned into one that cannot be used."""
    import apache_beam as beam
    from methodical.components.io.records import BadRecord

    def spoil(record):
        if zlib.crc32(record.position.encode()) % 4 == 0:
            return BadRecord(record.source, record.position, "spoilt by the test")
        return record

    return read(parameters, data_dir) | beam.Map(spoil)


@every_method
def test_bad_records_are_counted_and_too_many_stop_the_run(method, tmp_path):
    name, source = next(iter(method.sources.items()))
    spoilt = dataclasses.replace(source, read=functools.partial(_spoilt, source.read))
    method = dataclasses.replace(method, sources={name: spoilt})
    for limit, state, code in ((0.9, "complete", 0), (0.01, "failed", 3)):
        settings = {**method.tiny, "example_gen.max_bad_fraction": limit}
        pipeline = build_pipeline(method, name, settings)
        run = Runner(pipeline, str(tmp_path / str(limit)), to_stage="ExampleGen").run()
        assert (run["state"], run["exit_code"]) == (state, code), run["error"]
        if code:
            assert "max_bad_fraction=0.01" in run["error"]["message"]
            assert "spoilt by the test" in run["error"]["message"]
        else:
            counters = run["stages"][0]["counters"]
            assert 0 < counters["bad_records"] < counters["examples"]


@first_method
def test_two_runs_on_one_root_exclude_one_another(finished, command_line, method):
    line, _ = finished(method)
    line = command_line("two", copy_of=line.root)
    first = line.start("run", method.name, *line.tiny(method), "--no-cache")
    assert _wait_until_running(line.root, "ExampleGen", first)
    second = line.run(method, code=6)
    assert str(first.pid) in second["error"]["message"]
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
