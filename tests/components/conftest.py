import shutil

import pytest
from methodical.components.component import Channel, ExecutionContext


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
        from methodical.components import beam_transforms, example_proto
        from methodical.components.artifacts import Examples

        artifact = Examples(str(tmp_path / folder), {"splits": {}})
        for split, examples in splits.items():
            encoded = [example_proto.encode(example) for example in examples]
            for shard in range(shards):
                beam_transforms.write_shard(
                    artifact.uri, split, shard, shards, encoded[shard::shards]
                )
            artifact.properties["splits"][split] = len(encoded)
        return artifact

    return write
