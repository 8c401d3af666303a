"""What is cached and why not: the fingerprint of an execution."""

import os
import pathlib

import pytest
from methodical.components.base.lazy import Lazy
from methodical.pipeline.cache import fingerprint
from methodical.pipeline.cache.source_code import SourceCode

HIT = "same input, same code"


def test_first_run_then_all_cached(toy, reasons, states):
    first = toy.run()
    assert first["exit_code"] == 0
    assert set(reasons(first).values()) == {"first run"}
    again = toy.run()
    assert set(states(again).values()) == {"cached"}
    assert set(reasons(again).values()) == {HIT}
    assert again["metrics"]["metrics"] == {"total": 62}
    assert [entry["execution_id"] for entry in again["stages"]] == [1, 2, 3]


def test_parameter_names_its_values_and_what_follows_its_maker(toy, reasons):
    toy.run()
    assert reasons(toy.run({"Trainer": {"epochs": 3}})) == {
        "ExampleGen": HIT,
        "Trainer": "miss: parameter epochs 2 → 3",
        "Evaluator": "miss: input model changed (Trainer ran again)",
    }
    # Back to the first settings: all three are still there.
    assert set(reasons(toy.run()).values()) == {HIT}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("helper.py", "# twice", "# two times"),
        ("helper.py", "value + value", "( value\n        + value )"),
        ("helper.py", "Doubles.", "Returns the double."),
        ("stages.py", "import json, os", "# a comment\nimport json, os"),
        ("method.py", "SCALE = 10", 'SCALE = 10\n"""Of the total."""'),
    ],
)
def test_comments_formatting_and_docstrings_do_not_count(toy, reasons, name, old, new):
    toy.run()
    toy.edit(name, old, new)
    assert set(reasons(toy.run()).values()) == {HIT}


def test_lazily_imported_module_counts(toy, reasons):
    toy.run()
    toy.edit("helper.py", "value + value", "2 * value")
    # stages.py and method.py import the helper, which so is part of all three components.
    changed = {text.replace(toy.package, "toy") for text in reasons(toy.run()).values()}
    assert changed == {"miss: toy/helper.py changed", "miss: toy/helper.py changed and 1 more"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("range(count)", "range(1, count + 1)"),
        ("SCALE = 10", "SCALE = 11"),
        ("SCALE = 10", "SCALE = 10\nUNUSED = 1"),
        ("value * SCALE", "value * SCALE + 0"),
        ('"paper"', '"other"'),
    ],
)
def test_functions_count_by_module(toy, reasons, old, new):
    toy.run()
    toy.edit("method.py", old, new)
    changed = {text.replace(toy.package, "toy") for text in reasons(toy.run()).values()}
    assert changed == {"miss: toy/method.py changed", "miss: toy/method.py changed and 1 more"}


def test_method_in_modules_by_role_runs_only_what_changed(toy, reasons):
    evaluation = toy.folder / toy.package / "evaluation.py"
    evaluation.write_text("def column(parameters):\n    return 'paper'\n")
    toy.main.method.column = Lazy(f"{toy.package}.evaluation:column")
    toy.run()
    evaluation.write_text("def column(parameters):\n    return 'other'\n")
    changed = f"miss: {toy.package}/evaluation.py changed"
    assert reasons(toy.run()) == {"ExampleGen": HIT, "Trainer": HIT, "Evaluator": changed}


def test_data_given_as_a_function_counts_by_value(toy, reasons):
    toy.run()
    toy.main.method.METRICS["total"] = "another"
    changed = "miss: function metrics changed"
    assert reasons(toy.run()) == {"ExampleGen": HIT, "Trainer": HIT, "Evaluator": changed}


def test_fingerprint_of_an_older_version_is_compared(toy):
    old = {
        "code": {"components/base/component.py": "1", "pipeline/methods/toy.py:fits": "2"},
        "functions": {"fits": "pipeline/methods/toy.py:fits"},
        "source": "counted",
    }
    train = toy.main.build({}).components[1]
    new = {**fingerprint.static_part(train, "counted", None, SourceCode()), "inputs": {}}
    for earlier in (old, {}):
        assert fingerprint.differences(earlier, new, {})
    said = fingerprint.reason(fingerprint.differences(old, new, {}))
    assert said.startswith("miss: Python None → ")


def test_data_files_count_by_content(toy, reasons):
    data = pathlib.Path(toy.root + "-data.txt")
    data.write_text("1\n2\n")
    toy.run(data_dir=str(data))
    os.utime(data, (1, 1))
    assert set(reasons(toy.run(data_dir=str(data))).values()) == {HIT}
    data.write_text("1\n3\n")
    changed = toy.run(data_dir=str(data))
    assert reasons(changed)["ExampleGen"] == f"miss: data file {data.name} changed"
    assert changed["metrics"]["metrics"]["total"] == 82


def test_source_counts(toy, reasons):
    toy.run()
    assert reasons(toy.run(source="other"))["ExampleGen"] == "miss: data counted → other"


def test_another_source_is_the_reason_for_all_that_comes_with_it(toy, reasons, tmp_path):
    (tmp_path / "few").mkdir()
    data = tmp_path / "few" / "numbers.txt"
    data.write_text("4\n5\n")
    toy.run()
    settings = {"ExampleGen": {"count": 7}}
    files = {"source": "files", "data_dir": str(data)}
    found = reasons(toy.run(settings, **files))
    assert found["ExampleGen"] == "miss: data counted → files (…/numbers.txt)"
    # The nearest earlier execution is the one of the same source, though two things differ.
    data.write_text("4\n6\n")
    found = reasons(toy.run({"ExampleGen": {"count": 8}}, **files))
    said = "miss: parameter count 7 → 8; data file numbers.txt changed"
    assert found["ExampleGen"] == said


def test_no_cache_and_from_stage(toy, reasons, states):
    toy.run()
    assert set(reasons(toy.run(use_cache=False)).values()) == {"--no-cache"}
    again = toy.run(from_stage="trainer")
    assert states(again) == {"ExampleGen": "cached", "Trainer": "done", "Evaluator": "done"}
    assert reasons(again)["Evaluator"] == "--from-stage trainer"


def test_to_stage_runs_only_what_it_needs(toy, states, reasons):
    record = toy.run(to_stage="Trainer")
    assert states(record) == {"ExampleGen": "done", "Trainer": "done", "Evaluator": "skipped"}
    assert reasons(record)["Evaluator"] == "--to-stage trainer"
    assert states(toy.run())["Trainer"] == "cached"


def test_dry_run_tells_and_writes_nothing(toy, states, reasons):
    planned = toy.runner().plan()
    assert not os.path.exists(toy.root)
    assert set(states(planned).values()) == {"would run"}
    toy.run()
    before = sorted(os.listdir(toy.root)), toy.files()
    planned = toy.runner({"Trainer": {"epochs": 9}}).plan()
    assert states(planned) == {
        "ExampleGen": "cached",
        "Trainer": "would run",
        "Evaluator": "would run",
    }
    assert reasons(planned)["Trainer"] == "miss: parameter epochs 2 → 9"
    assert reasons(planned)["Evaluator"] == "miss: input model changed (Trainer ran again)"
    assert (sorted(os.listdir(toy.root)), toy.files()) == before


def damaged(path, how):
    if how == "altered":
        with open(path, "r+b") as writer:
            writer.write(b"9")
    elif how == "truncated":
        os.truncate(path, 1)
    else:
        os.remove(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("altered", "was altered"),
        ("truncated", "has another size"),
        ("removed", "is missing"),
    ],
)
def test_damaged_artifact_is_found_and_made_again(toy, reasons, states, how, says):
    first = toy.run()
    path = os.path.join(toy.artifact(first, "Trainer", "model"), "Format-Keras", "toy.json")
    damaged(path, how)
    again = toy.run()
    assert reasons(again) == {
        "ExampleGen": HIT,
        "Trainer": f"miss: artifact model: Format-Keras/toy.json {says}",
        "Evaluator": "miss: input model changed (Trainer ran again)",
    }
    assert again["metrics"]["metrics"] == first["metrics"]["metrics"]
    assert set(states(toy.run()).values()) == {"cached"}


def test_baseline_is_the_last_blessed_older_model_and_stays_cached(toy, states, get_stage):
    assert toy.run()["metrics"]["before"] is None
    second = toy.run({"Trainer": {"epochs": 5}})
    assert second["metrics"]["before"] == 62
    assert get_stage(second, "Evaluator")["inputs"] == {"model": 4, "before": 3}
    assert set(states(toy.run({"Trainer": {"epochs": 5}})).values()) == {"cached"}
    assert set(states(toy.run()).values()) == {"cached"}
    # One that is not blessed is no baseline, nor is one of another source.
    bad = {"Trainer": {"epochs": 6}, "Evaluator": {"min_value": 1000.0}}
    assert toy.run(bad)["exit_code"] == 4
    assert toy.run({"Trainer": {"epochs": 7}})["metrics"]["before"] == 65
    assert toy.run({"Trainer": {"epochs": 7}}, source="other")["metrics"]["before"] is None


def test_another_last_blessed_model_is_a_reason_of_its_own(toy, reasons):
    toy.run()
    toy.run({"Trainer": {"epochs": 5}})
    toy.run({"Evaluator": {"min_value": 1.0}})
    again = reasons(toy.run({"Trainer": {"epochs": 5}}))
    assert again == {
        "ExampleGen": HIT,
        "Trainer": HIT,
        "Evaluator": "miss: another last blessed model",
    }


def test_moved_root_stays_cached(toy, states):
    toy.run()
    os.rename(toy.root, toy.root + "-moved")
    toy.root += "-moved"
    assert set(states(toy.run()).values()) == {"cached"}
