import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from methodical.components.base.artifacts import InfraBlessing, SavedModel
from methodical.components.base.component import ExecutionContext
from methodical.components.exporter import prediction_log
from methodical.components.infra_validator import validation_process
from methodical.components.infra_validator.component import InfraValidator, library_paths

ROWS = 40


def export(folder, function=None, track=(), references=None, signature="serving_default"):
    """Writes a SavedModel that doubles numbers, as Exporter lays it out."""
    import tensorflow as tf

    def double(x):
        return {"twice": 2.0 * x, "rank": tf.cast(x, tf.int32), "text": tf.strings.as_string(x)}

    module = tf.Module()
    module.tracked = list(track)
    module.function = tf.function(
        function or double, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    saved = SavedModel(str(folder))
    tf.saved_model.save(module, saved.path("Format-Serving"), {signature: module.function})
    x = np.arange(ROWS, dtype="float32")
    if references is None:
        references = {
            "twice": 2 * x,
            "rank": np.arange(ROWS),
            "text": np.array([f"{value:f}".encode() for value in x]),
        }
    np.savez(
        saved.path("references.npz"),
        **{f"{signature}/{name}": value for name, value in references.items()},
    )
    write_requests(saved, [(signature, {"x": x[row : row + 1]}) for row in range(ROWS)])
    return saved


def write_requests(saved, requests):
    os.makedirs(saved.path("Format-Serving", "assets.extra"), exist_ok=True)
    prediction_log.write_requests(
        saved.path("Format-Serving", "assets.extra", "tf_serving_warmup_requests"),
        [prediction_log.serialized_request("toy", name, inputs) for name, inputs in requests],
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return export(tmp_path_factory.mktemp("saved_model"))


@pytest.fixture
def copied(saved, tmp_path):
    shutil.copytree(saved.uri, tmp_path / "copy")
    return SavedModel(str(tmp_path / "copy"))


def validate(saved, tolerance=1e-5):
    """Makes the checks in this process: TensorFlow is loaded already."""
    return validation_process.validate(
        {
            "saved_model": saved.path("Format-Serving"),
            "references": saved.path("references.npz"),
            "prediction_log": prediction_log.__file__,
            "forbidden": [],
            "tolerance": tolerance,
            "latency_requests": 7,
        }
    )


def execute(saved, folder, **parameters):
    blessing = InfraBlessing(str(folder / "blessing"))
    os.makedirs(blessing.uri)
    context = ExecutionContext(
        inputs={"saved_model": saved},
        outputs={"blessing": blessing},
        parameters=InfraValidator.Parameters(**parameters),
        functions={},
    )
    InfraValidator.execute(context)
    return context, blessing.read_json("infra_validation.json")


def test_a_clean_process_blesses_a_good_model(saved, tmp_path):
    context, found = execute(saved, tmp_path)
    assert found["reasons"] == []
    assert found["blessed"] is True
    assert found["importable"] == []
    assert found["isolated"] is True
    assert found["requests"] == ROWS
    assert found["parity"] == 0.0
    checked = found["signatures"]["serving_default"]
    assert checked["compared"] == ["rank", "text", "twice"]
    assert checked["differences"] == {"1": 0.0, "32": 0.0}
    latency = found["latency_milliseconds"]
    assert len(latency["values"]) == 50
    assert latency["p50"] <= latency["p95"] <= max(latency["values"])
    assert sorted(os.listdir(context.outputs["blessing"].uri)) == [
        "INFRA_BLESSED",
        "infra_validation.json",
    ]
    assert context.outputs["blessing"].properties["blessed"] is True
    assert context.stop is None
    assert context.summary.startswith("parity 0.0e+00, p95 ")
    assert context.summary.endswith(f"ms, {ROWS} warm-up requests")


def test_the_interpreter_of_the_clean_process_does_not_know_the_project(tmp_path):
    program = f"import sys; sys.path.extend({library_paths()!r})\nimport numpy\nimport methodical"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert "No module named 'methodical'" in ended.stderr


def test_the_blocker_hides_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "installed_project").mkdir()
    (tmp_path / "installed_project/__init__.py").write_text("")
    (tmp_path / "installed_project/part.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    blocker = validation_process.Blocker(["installed_project"])
    monkeypatch.setattr(sys, "meta_path", [blocker, *sys.meta_path])
    for name in ("installed_project", "installed_project.part"):
        with pytest.raises(ModuleNotFoundError):
            __import__(name)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[1:])
    __import__("installed_project.part")


def test_a_model_that_is_too_slow_is_not_blessed(saved, tmp_path):
    context, found = execute(saved, tmp_path, timeout_seconds=0.01)
    assert "infra_validator.timeout_seconds = 0.01" in found["reasons"][0]
    assert context.stop.kind == "not_infra_blessed"
    assert "timeout_seconds = 0.01" in context.stop.message
    assert "INFRA_NOT_BLESSED" in os.listdir(context.outputs["blessing"].uri)
    assert context.outputs["blessing"].properties["blessed"] is False


@pytest.mark.parametrize("kind", ["numpy_function", "py_function"])
def test_python_in_the_graph_is_refused(tmp_path, kind):
    import tensorflow as tf

    def calls_python(x):
        # In a branch, so that the operation lies in the library of functions.
        call = getattr(tf, kind)
        return {"y": tf.cond(tf.size(x) > 0, lambda: call(np.sin, [x], tf.float32), lambda: x)}

    found = validate(export(tmp_path, calls_python, references={}))
    operation = {"numpy_function": "PyFunc", "py_function": "EagerPyFunc"}[kind]
    assert "the graph calls Python" in found["reasons"][0]
    assert operation in found["reasons"][0]


@pytest.mark.parametrize(
    ("output", "row", "value", "reason"),
    [
        ("twice", 33, 66.01, "output 'twice' differs by 0.000152"),
        ("twice", 0, np.nan, "output 'twice' differs by"),
        ("rank", 39, 40, "output 'rank' differs in 1 of 40 values"),
        ("text", 3, b"3.5", "b'3.000000' instead of b'3.5'"),
    ],
)
def test_a_wrong_reference_is_refused(copied, output, row, value, reason):
    with np.load(copied.path("references.npz")) as stored:
        references = {name: stored[name] for name in stored.files}
    references[f"serving_default/{output}"][row] = value
    np.savez(copied.path("references.npz"), **references)
    found = validate(copied)
    assert len(found["reasons"]) == 2
    assert "at batch size 1:" in found["reasons"][0]
    assert "at batch size 32:" in found["reasons"][1]
    assert all(reason in each for each in found["reasons"])
    assert "latency_milliseconds" not in found


def test_answers_must_not_depend_on_the_batch(tmp_path):
    import tensorflow as tf

    def mean(x):
        return {"y": x - tf.reduce_mean(x)}

    found = validate(export(tmp_path, mean, references={"y": np.zeros(ROWS)}))
    assert ["at batch size 32: output 'y'" in reason for reason in found["reasons"]] == [True]


def test_the_tolerance_is_relative_to_large_values_only(saved):
    compare = validation_process.compare
    assert compare(np.array([0.001]), np.array([0.0011]), 1e-3)[1] is None
    assert compare(np.array([1001.0]), np.array([1000.0]), 1e-3)[1] is None
    assert compare(np.array([1.01]), np.array([1.0]), 1e-3)[1] is not None
    assert compare(np.array([np.inf, np.nan]), np.array([np.inf, np.nan]), 0.0) == (0.0, None)
    assert compare(None, np.array([1.0]), 1.0)[1] == "is missing"
    assert "shape (2,) instead of (1,)" in compare(np.zeros(2), np.zeros(1), 1.0)[1]


def test_requests_that_do_not_fit(copied):
    write_requests(copied, [("other", {"x": np.zeros(1, "float32")})])
    assert "unknown signature 'other'" in validate(copied)["reasons"][0]
    write_requests(copied, [("serving_default", {"z": np.zeros(1, "float32")})])
    assert "fails on a warm-up request at batch size 1" in validate(copied)["reasons"][0]
    write_requests(copied, [])
    assert "'serving_default' has no warm-up request" in validate(copied)["reasons"][0]
    write_requests(copied, [("serving_default", {"x": np.zeros(1, "float32")})] * 1001)
    assert "at most 1000" in validate(copied)["reasons"][0]
    os.remove(copied.path("Format-Serving", "assets.extra", "tf_serving_warmup_requests"))
    assert "cannot be read" in validate(copied)["reasons"][0]


def test_a_model_without_references_is_refused(tmp_path):
    found = validate(export(tmp_path, references={}))
    assert found["reasons"] == [
        "there are no references: nothing says what the model should answer"
    ]


def test_a_damaged_model_is_refused(copied):
    path = pathlib.Path(copied.path("Format-Serving", "saved_model.pb"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (reason,) = validate(copied)["reasons"]
    assert reason.startswith("saved_model.pb cannot be read")


def test_a_path_of_this_machine_is_refused(tmp_path):
    import tensorflow as tf

    (tmp_path / "words.txt").write_text("kitchen\n")

    def reads(x):
        words = tf.io.read_file(str(tmp_path / "words.txt"))
        return {"y": x, "words": tf.repeat(words, tf.size(x))}

    (reason, *_) = validate(export(tmp_path / "out", reads))["reasons"]
    assert f"names the local path '{tmp_path}/words.txt'" in reason
