import json
import os
import pathlib
import threading

import pytest
from methodical.components.base.artifacts import (
    InfraBlessing,
    ModelBlessing,
    PushedModel,
    SavedModel,
)
from methodical.components.base.component import ExecutionContext
from methodical.components.pusher import component as pusher
from methodical.components.pusher.component import Pusher, publish
from methodical.components.pusher.versions import CONFIG, current_version, roll_back


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "root/artifacts/toy/Exporter/12/saved_model"
    for name, text in {
        "saved_model.pb": "graph",
        "variables/variables.index": "index",
        "assets/vocabulary.txt": "kitchen\n",
        "assets.extra/tf_serving_warmup_requests": "requests",
        "assets.extra/signatures.json": "signatures",
    }.items():
        path = folder / "Format-Serving" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "references.npz").write_text("not served")
    return SavedModel(str(folder))


@pytest.fixture
def push(saved, tmp_path):
    def run(blessed=True, infra_blessed=True, name="toy"):
        output = PushedModel(str(tmp_path / f"out{len(os.listdir(tmp_path))}"))
        os.makedirs(output.uri)
        context = ExecutionContext(
            inputs={
                "saved_model": saved,
                "blessing": ModelBlessing("none", {"blessed": blessed}),
                "infra_blessing": InfraBlessing("none", {"blessed": infra_blessed}),
            },
            outputs={"pushed_model": output},
            parameters=Pusher.Parameters(),
            functions={},
            serving_dir=str(tmp_path / "root/serving"),
            model_name=name,
        )
        Pusher.execute(context)
        return context

    return run


def config(tmp_path):
    return (tmp_path / "root/serving" / CONFIG).read_text()


def test_pushes_whole_numbered_versions(push, saved, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/methodical", "run", "toy", "--root=/data/root"])
    first, second = push(), push()
    assert first.summary == "serving/toy/1"
    models = tmp_path / "root/serving/toy"
    assert sorted(os.listdir(models)) == ["1", "2"]
    for version in "12":
        copied = {
            str(path.relative_to(models / version)): path.read_text()
            for path in (models / version).rglob("*")
            if path.is_file()
        }
        assert copied == {
            "saved_model.pb": "graph",
            "variables/variables.index": "index",
            "assets/vocabulary.txt": "kitchen\n",
            "assets.extra/tf_serving_warmup_requests": "requests",
            "assets.extra/signatures.json": "signatures",
        }
    output = second.outputs["pushed_model"]
    receipt = output.read_json("receipt.json")
    assert receipt["version"] == output.properties["version"] == 2
    assert receipt["destination"] == output.properties["destination"] == "toy/2"
    assert receipt["source"] == "Exporter/12/saved_model"
    assert receipt["command"] == "methodical run toy --root=root"
    assert str(tmp_path) not in json.dumps(receipt) + json.dumps(output.properties)


@pytest.mark.parametrize(
    ("blessed", "infra_blessed"), [(False, True), (True, False), (None, True), ("no", True)]
)
def test_a_model_that_is_not_blessed_is_not_pushed(push, tmp_path, blessed, infra_blessed):
    with pytest.raises(ValueError, match=r"blessed is pushed. Received:"):
        push(blessed, infra_blessed)
    assert not (tmp_path / "root/serving").exists()


def test_an_altered_or_lost_version_is_stale(push, tmp_path):
    context = push()
    serving = context.serving_dir
    assert Pusher.stale(context.outputs, serving) is None
    vocabulary = tmp_path / "root/serving/toy/1/assets/vocabulary.txt"
    vocabulary.write_text("garden\n")
    assert Pusher.stale(context.outputs, serving) == "serving/toy/1 was altered"
    vocabulary.unlink()
    assert Pusher.stale(context.outputs, serving) == "serving/toy/1 was altered"
    (tmp_path / "root/serving/toy/1").rename(tmp_path / "elsewhere")
    assert Pusher.stale(context.outputs, serving) == "serving/toy/1 is gone"


def test_the_configuration_lists_all_models(push, tmp_path):
    push(name="toy")
    push(name="other")
    text = config(tmp_path)
    assert text.count("config {") == 2
    assert '    name: "other"\n    base_path: "/models/other"\n' in text
    assert "specific" not in text
    assert sorted(os.listdir(tmp_path / "root/serving")) == ["models.config", "other", "toy"]


def test_rolls_back_and_forth(push, tmp_path):
    serving = push().serving_dir
    push(name="other")
    with pytest.raises(ValueError, match="Received: served version 1 of 1"):
        roll_back(serving, "toy")
    push()
    push()
    assert current_version(serving, "toy") == 3
    assert roll_back(serving, "toy") == 2
    assert current_version(serving, "toy") == 2
    assert "model_version_policy { specific { versions: 2 } }" in config(tmp_path)
    assert roll_back(serving, "toy") == 1
    assert current_version(serving, "toy") == 1
    assert roll_back(serving, "toy", 3) == 3
    assert "specific" not in config(tmp_path)
    with pytest.raises(ValueError, match=r"1, 2, 3. Received: 9"):
        roll_back(serving, "toy", 9)
    assert roll_back(serving, "toy", 2) == 2
    push(name="other")
    assert current_version(serving, "toy") == 2
    assert current_version(serving, "other") == 2
    push()
    assert current_version(serving, "toy") == 4
    assert sorted(os.listdir(f"{serving}/toy")) == ["1", "2", "3", "4"]
    assert current_version(serving, "unknown") is None


def test_pushers_at_once_take_different_versions(saved, tmp_path):
    folder, serving = saved.path("Format-Serving"), str(tmp_path / "serving")
    barrier = threading.Barrier(6)
    versions = []

    def push():
        barrier.wait()
        versions.append(publish(folder, serving, "toy"))

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    assert sorted(os.listdir(f"{serving}/toy")) == ["1", "2", "3", "4", "5", "6"]


def test_a_number_taken_meanwhile_is_not_overwritten(saved, tmp_path, monkeypatch):
    folder, serving = saved.path("Format-Serving"), tmp_path / "serving"
    theirs = serving / "toy/1/saved_model.pb"
    looked = pusher.versions.next_version

    def late(*arguments):
        version = looked(*arguments)
        if version == 1:
            theirs.parent.mkdir(parents=True)
            theirs.write_text("theirs")
        return version

    monkeypatch.setattr(pusher.versions, "next_version", late)
    assert publish(folder, str(serving), "toy") == 2
    assert theirs.read_text() == "theirs"


def test_a_push_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    def full(source, target):
        pathlib.Path(target).mkdir(parents=True)
        (pathlib.Path(target) / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pusher.filesystem, "copy_tree", full)
    with pytest.raises(OSError, match="No space"):
        publish(saved.path("Format-Serving"), str(tmp_path / "serving"), "toy")
    assert os.listdir(tmp_path / "serving/toy") == []


def test_what_a_killed_pusher_left_is_removed(saved, tmp_path):
    import socket

    models = tmp_path / "serving/toy"
    gone = models / f".tmp-{socket.gethostname()}-{2**22 - 3}-abcd"
    alive = models / f".tmp-{socket.gethostname()}-{os.getpid()}-abcd"
    gone.mkdir(parents=True)
    alive.mkdir()
    assert publish(saved.path("Format-Serving"), str(tmp_path / "serving"), "toy") == 1
    assert sorted(os.listdir(models)) == [alive.name, "1"]
