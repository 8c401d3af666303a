import os
import pathlib
import shutil
from typing import Any

import pytest
from methodical.components.base.component import Channel, ExecutionContext


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real data; tests that ask for it carry the mark `data`."""
    folder = os.environ.get("METHODICAL_TEST_DATA", "")
    if not folder:
        pytest.skip("no real data: set METHODICAL_TEST_DATA to its folder")
    path = pathlib.Path(folder)
    if not path.is_dir():
        pytest.skip(f"no real data: METHODICAL_TEST_DATA={folder} is not a folder")
    return path


@pytest.fixture
def execute(tmp_path):
    """Runs one component into a folder of its own and returns its context."""

    def run(
        component,
        inputs=None,
        functions=None,
        folder="stage",
        options=(),
        beam_arguments=(),
        data_dir=None,
        progress=lambda fraction, text: None,
        **parameters,
    ):
        inputs = dict(inputs or {})
        placed = component(
            inputs={
                name: Channel("Before", name, type(artifact)) for name, artifact in inputs.items()
            },
            parameters=parameters,
            options=options,
            functions=functions,
        )
        outputs = {}
        for name, kind in component.OUTPUTS.items():
            path = tmp_path / folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            outputs[name] = kind(str(path))
        context = ExecutionContext(
            inputs=inputs,
            outputs=outputs,
            parameters=placed.parameters,
            functions=placed.functions,
            beam_arguments=tuple(beam_arguments),
            data_dir=data_dir,
            progress=progress,
        )
        run.last = context
        placed.execute(context)
        return context

    return run


@pytest.fixture
def contents():
    """Returns the bytes of all files below a folder."""

    def read(folder):
        import pathlib

        root = pathlib.Path(folder)
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    return read


@pytest.fixture
def write_examples(tmp_path):
    """Writes splits, given as lists of feature dicts, as ExampleGen does: `shards` files each."""

    def write(splits, shards=1, folder="written"):
        from methodical.components.base.artifacts import Examples
        from methodical.components.beam.shards import write_shard
        from methodical.components.io import example_proto

        artifact = Examples(str(tmp_path / folder), {"splits": {}})
        for split, examples in splits.items():
            encoded = [example_proto.encode(example) for example in examples]
            for shard in range(shards):
                write_shard(artifact.uri, split, shard, shards, encoded[shard::shards])
            artifact.properties["splits"][split] = len(encoded)
        return artifact

    return write


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the end-to-end tests: they take longest, and the other worker does the rest."""
    items.sort(key=lambda item: "end_to_end" not in item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives whole files to a worker, but of the end-to-end suite the tests of one method.

    Tests of a file share what its fixtures make, and those of a method its run.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFileAndMethod(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return (
                file + nodeid[nodeid.find("[") :] if "end_to_end/test_pipelines" in file else file
            )

    return ByFileAndMethod(config, log)
