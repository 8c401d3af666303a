"""A root at a path that TensorFlow's file systems know: the in-memory one stands for `gs://`."""

import os
import uuid

import pytest
from methodical.components.base.artifacts import MANIFEST
from methodical.components.io import filesystem

pytestmark = pytest.mark.slow


@pytest.fixture
def remote(toy, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("METHODICAL_METADATA", str(tmp_path / "local" / "metadata.sqlite"))
    toy.root = f"ram://{uuid.uuid4().hex}/root"
    return toy


def test_manifests_are_written_last_and_the_store_is_local(
    remote, monkeypatch, states, reasons, tmp_path
):
    written = []
    open_file = filesystem.open_file

    def watched(path, mode="r"):
        if "w" in mode and "/artifacts/" in path:
            written.append(path)
        return open_file(path, mode)

    monkeypatch.setattr(filesystem, "open_file", watched)
    record = remote.run()
    assert record["exit_code"] == 0, record["error"]
    assert record["metrics"]["metrics"] == {"total": 62}
    evaluator = [path for path in written if "/Evaluator/" in path]
    is_manifest = [path.endswith(MANIFEST) for path in evaluator]
    assert is_manifest == sorted(is_manifest)
    assert sum(is_manifest) == 2
    assert sorted(os.listdir(tmp_path / "local"))[0] == "lock"
    assert filesystem.exists(f"{remote.root}/runs/{record['run_id']}/run.json")
    assert list(filesystem.walk(f"{remote.root}/staging")) == []
    assert set(states(remote.run()).values()) == {"cached"}

    model = f"{remote.root}/artifacts/toy/Trainer/2/model/Format-Keras/toy.json"
    with filesystem.open_file(model, "w") as writer:
        writer.write("61\n")
    assert "artifact model: Format-Keras/toy.json" in reasons(remote.run())["Trainer"]


def test_failure_leaves_nothing_behind(remote):
    remote.behave(Trainer="crash")
    record = remote.run()
    assert record["exit_code"] == 1
    assert list(filesystem.walk(f"{remote.root}/staging")) == []
    assert not filesystem.exists(f"{remote.root}/artifacts/toy/Trainer/2")
    assert remote.run()["exit_code"] == 0
