"""What a run survives: kills, locks, full disks, bad data, signals."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from methodical.pipeline.metadata.metadata_store import MetadataStore
from methodical.pipeline.run import faults
from methodical.pipeline.run.lock import LockedError, hold


def finished(process):
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def undamaged(toy):
    """Checks that what lies in the root is what the store knows, and whole."""
    with MetadataStore(os.path.join(toy.root, "metadata.sqlite"), read_only=True) as store:
        known = set()
        for run in store.runs():
            for execution in store.executions_of_run(run.id):
                if execution.state == "COMPLETE":
                    known |= {found.uri for found in store.outputs(execution.id).values()}
        assert store.running() == []
    lying = {
        str(path.parent.relative_to(toy.root))
        for path in pathlib.Path(toy.root, "artifacts").rglob("MANIFEST.json")
    }
    assert lying == known
    staged = pathlib.Path(toy.root, "staging")
    assert not staged.exists() or list(staged.iterdir()) == []


@pytest.mark.parametrize("component", ["ExampleGen", "Trainer", "Evaluator"])
def test_sigkill_in_a_stage_then_the_same_end(toy, states, reasons, get_stage, component):
    toy.behave(**{component: "kill"})
    code, _, _ = finished(toy.start())
    assert code == -signal.SIGKILL
    assert [name for name in toy.files() if name.startswith("staging")]
    again = toy.run()
    assert again["exit_code"] == 0
    assert again["metrics"]["metrics"] == {"total": 62}
    assert reasons(again)[component] == "miss: the last attempt was killed"
    names = ["ExampleGen", "Trainer", "Evaluator"]
    for name in names[: names.index(component)]:
        assert states(again)[name] == "cached"
    if component == "Trainer":
        assert get_stage(again, "Trainer")["counters"] == {"resumed_from": 7}
    assert os.listdir(os.path.join(toy.root, "checkpoints")) == []
    undamaged(toy)
    assert set(states(toy.run()).values()) == {"cached"}


@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "after the record"])
def test_sigkill_while_publishing(toy, states, moment):
    script = f"""
import os, signal, sys, json
from methodical.pipeline.metadata import metadata_store
from methodical.pipeline.run import executor
from {toy.package} import main
from methodical.pipeline.run.runner import Runner
def die(*arguments, **keywords):
    os.kill(os.getpid(), signal.SIGKILL)
publish, count = metadata_store.MetadataStore.publish, 0
def second(*arguments, **keywords):
    global count
    count += 1
    if count == 2 and {moment!r} == "after the rename":
        die()
    publish(*arguments, **keywords)
    if count == 2 and {moment!r} == "after the record":
        die()
metadata_store.MetadataStore.publish = second
rename = executor.filesystem.rename
def renamed(source, target):
    if count == 1 and {moment!r} == "before the rename":
        die()
    rename(source, target)
executor.filesystem.rename = renamed
Runner(main.build({{}}), {toy.root!r}).run()
"""
    process = subprocess.run([sys.executable, "-c", script], cwd=toy.folder, timeout=60)
    assert process.returncode == -signal.SIGKILL
    published = pathlib.Path(toy.root, "artifacts", "toy", "Trainer")
    assert bool(list(published.iterdir())) == (moment != "before the rename")
    again = toy.run()
    assert again["metrics"]["metrics"] == {"total": 62}
    trained = "cached" if moment == "after the record" else "done"
    assert states(again) == {"ExampleGen": "cached", "Trainer": trained, "Evaluator": "done"}
    undamaged(toy)


def test_crash_names_cause_place_and_next_step(toy, states, reasons):
    toy.behave(Trainer="crash")
    record = toy.run()
    assert (record["state"], record["exit_code"]) == ("failed", 1)
    assert states(record) == {"ExampleGen": "done", "Trainer": "failed", "Evaluator": "skipped"}
    message = record["error"]["message"]
    assert message.startswith("RuntimeError in Trainer: the disc came off (")
    assert "stages.py:" in message
    assert message.endswith("in misbehave)")
    assert "toy run" in record["error"]["next"]
    log = pathlib.Path(toy.root, record["paths"]["log"]).read_text()
    assert "Traceback" in log
    assert "the disc came off" in log
    undamaged(toy)
    assert reasons(toy.run())["Trainer"] == "miss: the last attempt failed"


def test_bad_data_keeps_its_dead_letters(toy):
    toy.behave(ExampleGen="bad data")
    record = toy.run()
    assert (record["state"], record["exit_code"]) == ("failed", 3)
    kept = record["paths"]["dead_letters"]
    assert kept == f"runs/{record['run_id']}/ExampleGen-dead_letters.jsonl"
    assert json.loads(pathlib.Path(toy.root, kept).read_text()) == {"reason": "no answer"}
    assert "3 of 4 records are bad." in record["error"]["message"]
    assert os.path.join(toy.root, kept) in record["error"]["message"]
    undamaged(toy)


def test_stop_publishes_and_stops_again_from_the_cache(toy, states):
    toy.behave(Trainer="stop")
    record = toy.run()
    assert (record["state"], record["exit_code"]) == ("stopped", 3)
    assert record["error"]["message"] == "There are anomalies."
    assert record["error"]["next"] == "Mend the data or the options; then: toy run"
    assert states(record) == {"ExampleGen": "done", "Trainer": "stopped", "Evaluator": "skipped"}
    again = toy.run()
    assert (again["state"], again["exit_code"]) == ("stopped", 3)
    assert again["error"] == record["error"]
    assert again["stages"][1]["reason"] == "same input, same code"
    undamaged(toy)


def test_not_blessed_has_its_exit_code_and_verdict(toy):
    record = toy.run({"Evaluator": {"min_value": 100.0}})
    assert (record["state"], record["exit_code"]) == ("stopped", 4)
    assert record["verdicts"] == {"Evaluator": "NOT BLESSED"}
    assert record["metrics"]["metrics"] == {"total": 62}
    said = "With other settings, as --set COMPONENT.PARAMETER=VALUE: toy run"
    assert record["error"]["next"] == said


@pytest.mark.parametrize("kind", faults.STOP_CODES)
def test_each_stop_has_a_next_step_of_its_own(kind):
    said = faults.after_stop(kind, "methodical run toy")
    assert said.endswith(": methodical run toy")
    assert "ended" not in said
    others = {faults.after_stop(other, "methodical run toy") for other in faults.STOP_CODES}
    assert len(others) == len(faults.STOP_CODES)
    assert faults.after_stop(kind, "").endswith(": the same command again")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_run_cleanly(toy, number, code):
    toy.behave(Trainer="wait")
    process = toy.start()
    assert process.stdout.readline() == "waiting\n"
    # Python drops an exception that a signal raises inside a finalizer: wait until it sleeps.
    time.sleep(0.5)
    process.send_signal(number)
    returned, out, error = finished(process)
    assert returned == code
    record = json.loads(out)
    assert (record["state"], record["exit_code"]) == ("interrupted", code)
    assert "To go on: toy run" in error
    undamaged(toy)
    again = toy.run()
    assert again["stages"][1]["reason"] == "miss: the last attempt was interrupted"
    assert again["metrics"]["metrics"] == {"total": 62}


def test_signal_waits_until_a_stage_is_published(toy, states, monkeypatch):
    publish = MetadataStore.publish

    def slow(store, execution_id, *arguments):
        if execution_id == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        publish(store, execution_id, *arguments)

    monkeypatch.setattr(MetadataStore, "publish", slow)
    assert toy.run()["exit_code"] == 143
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(toy.folder))
    undamaged(toy)
    assert states(toy.run()) == {"ExampleGen": "cached", "Trainer": "cached", "Evaluator": "done"}


def test_second_run_on_one_root_is_refused_and_another_root_is_not(toy):
    toy.behave(Trainer="wait")
    process = toy.start()
    try:
        assert process.stdout.readline() == "waiting\n"
        refused = toy.run()
        assert (refused["state"], refused["exit_code"]) == ("failed", 6)
        assert f"pid {process.pid}" in refused["error"]["message"]
        assert not os.path.exists(os.path.join(toy.root, "runs", refused["run_id"]))
        assert toy.run(root=toy.root + "-2")["exit_code"] == 0
    finally:
        process.kill()
        finished(process)
    # The lock of a killed run needs no cleaning.
    assert toy.run()["exit_code"] == 0


def test_lock_is_held_and_freed(tmp_path):
    path = str(tmp_path / "lock")
    with hold(path, "one"), pytest.raises(LockedError, match=f"run one .*pid {os.getpid()}"):
        hold(path, "two").__enter__()
    with hold(path, "two"):
        pass


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk_is_told_and_leaves_nothing_half_published(toy, small_disk, states):
    toy.root = str(small_disk / "root")
    toy.behave(Trainer="fill")
    record = toy.run()
    assert (record["state"], record["exit_code"]) == ("failed", 1)
    message = record["error"]["message"]
    assert message.startswith(f"No space was left for Trainer on the disk of {toy.root}: ")
    assert "MB free" in message
    assert "Free some space" in record["error"]["next"]
    undamaged(toy)
    again = toy.run()
    assert states(again) == {"ExampleGen": "cached", "Trainer": "done", "Evaluator": "done"}


def test_disk_full_from_the_start(toy, small_disk):
    toy.root = str(small_disk / "root")
    ballast = os.open(small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(ballast, bytes(4096))
    os.close(ballast)
    record = toy.run()
    assert record["exit_code"] == 1
    assert record["error"]["message"].startswith("No space was left for the run on the disk")
    os.remove(small_disk / "ballast")
    assert toy.run()["exit_code"] == 0
    undamaged(toy)


def test_file_size_limit_counts_as_a_full_disk(toy):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    toy.behave(Trainer="fill")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, old[1]))
    try:
        record = toy.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert record["error"]["message"].startswith("No space was left for Trainer")
    undamaged(toy)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("RESOURCE_EXHAUSTED: /tmp/x; No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_disk_full_is_known_behind_other_errors(error):
    outer = ValueError("a worker failed")
    outer.__cause__ = error
    assert faults.is_disk_full(outer)
    assert not faults.is_disk_full(ValueError("a worker failed"))


def test_report_that_fails_does_not_hide_the_result(toy):
    warnings = []

    class Heard(toy.runner().listener.__class__):
        def warning(self, text):
            warnings.append(text)

    def report(record, root):
        raise ZeroDivisionError("no ink")

    record = toy.run(report=report, listener=Heard())
    assert (record["state"], record["exit_code"]) == ("complete", 0)
    assert "report" not in record["paths"]
    assert any("no ink" in text for text in warnings)


def test_report_is_rendered_of_a_failed_run_too(toy):
    seen = []
    toy.behave(Trainer="crash")
    record = toy.run(report=lambda run, root: seen.append(run["state"]))
    assert seen == ["failed"]
    assert record["paths"]["report"] == f"runs/{record['run_id']}/report.html"


def test_damaged_newer_and_foreign_stores_are_told(toy):
    path = pathlib.Path(toy.root, "metadata.sqlite")
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    record = toy.run()
    assert record["exit_code"] == 1
    assert "damaged or no SQLite file" in record["error"]["message"]
    path.unlink()
    toy.run()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "newer methodical (schema 99" in toy.run()["error"]["message"]
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookbook (id)")
    connection.close()
    assert "another program" in toy.run()["error"]["message"]


def test_lost_store_overwrites_nothing(toy):
    toy.run()
    before = {name for name in toy.files() if name.startswith("artifacts")}
    for path in pathlib.Path(toy.root).glob("metadata.sqlite*"):
        path.unlink()
    record = toy.run()
    assert record["exit_code"] == 0
    assert [entry["execution_id"] for entry in record["stages"]] == [4, 5, 6]
    assert before < {name for name in toy.files() if name.startswith("artifacts")}
