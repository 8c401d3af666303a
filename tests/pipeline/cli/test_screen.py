"""What a run shows on a terminal and in a pipe."""

import io

import pytest
from methodical.pipeline.cli import screen
from methodical.pipeline.run import run_record
from methodical.pipeline.run.pipeline import Pipeline
from methodical.pipeline.run.root import Root


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def record(tmp_path):
    pipeline = Pipeline("babi", "simulated", [])
    made = run_record.new_record(pipeline, Root(str(tmp_path)), "methodical run babi")
    made["stages"] = [run_record.new_stage(name) for name in ("ExampleGen", "Evaluator", "Pusher")]
    return made


def stages(record, **changes):
    for stage in record["stages"]:
        stage.update(changes.get(stage["component"], {}))
    return record


def test_states_and_texts_of_stages(record):
    stages(
        record,
        ExampleGen={"state": "cached", "reason": "same input, same code", "summary": "20 stories"},
        Evaluator={
            "state": "stopped", "verdict": "NOT BLESSED", "reason": "miss: a changed",
            "summary": "accuracy 0.5",
        },
        Pusher={"state": "done", "reason": "first run", "properties": {"pushed": {"version": 7}}},
    )  # fmt: skip
    assert [screen.stage_state(stage) for stage in record["stages"]] == [
        "cached",
        "NOT BLESSED",
        "v7",
    ]
    assert [screen.stage_text(stage) for stage in record["stages"]] == [
        "same input, same code",
        "accuracy 0.5   miss: a changed",
        "",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, ""), (1.94, "1.9s"), (99.9, "99.9s"), (245.0, "4m05s")]
)
def test_seconds(value, text):
    assert screen.seconds(value) == text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_plain_where_asked_for(monkeypatch, name, value):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not screen.is_plain(Terminal())
    assert screen.is_plain(io.StringIO())
    monkeypatch.setenv(name, value)
    assert screen.is_plain(Terminal())


def show(listener, record):
    listener.run_started(record)
    listener.stage_started("ExampleGen", "first run")
    listener.stage_progress("ExampleGen", 0.5, "half of it")
    stages(record, ExampleGen={"state": "done", "seconds": 1.9, "summary": "20 stories, 0 bad"})
    listener.stage_finished(record, record["stages"][0])
    record["state"], record["seconds"] = "complete", 2.0
    record["paths"] = {"report": "runs/x/report.html"}
    record["ask"] = "methodical predict babi --story STORY"
    listener.run_finished(record)


def test_plain_lines(record):
    stream = io.StringIO()
    show(screen.new_screen(stream), record)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert lines[1] == ["ExampleGen", "running", "first", "run"]
    assert lines[2] == ["ExampleGen", "done", "1.9s", "20", "stories,", "0", "bad"]
    assert lines[3] == ["report", f"{record['root']}/runs/x/report.html"]
    assert lines[4] == ["ask", "it", "methodical", "predict", "babi", "--story", "STORY"]
    assert "\x1b" not in stream.getvalue()


def test_live_table_shows_progress_and_ends_with_all_stages(record, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    listener = screen.new_screen(stream)
    listener.run_started(record)
    listener.stage_started("ExampleGen", "miss: a changed")
    listener.stage_progress("ExampleGen", 0.5, "half of it")
    listener._live.refresh()
    assert "half of it" in stream.getvalue()
    assert "50%" in stream.getvalue()
    assert "miss: a changed" in stream.getvalue()
    listener.warning("look out")
    stages(record, ExampleGen={"state": "done", "seconds": 1.9, "summary": "20 stories"})
    listener.stage_finished(record, record["stages"][0])
    record["error"] = {"message": "it broke", "component": "Evaluator", "next": "mend it"}
    record["state"] = "failed"
    listener.run_finished(record)
    text = stream.getvalue()
    for part in ("look out", "20 stories", "Evaluator: it broke", "mend it"):
        assert part in text
