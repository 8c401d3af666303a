"""Transform: learns assets from the training split and applies them to all splits."""

from __future__ import annotations

from typing import Any, ClassVar

import pydantic

from ..base.artifacts import ExampleAnomalies, Examples, Schema, TransformGraph
from ..base.component import Component, ExecutionContext
from ..base.errors import BadDataError
from ..beam import dead_letters
from ..beam.options import load_beam
from ..beam.run import run_pipeline

_SHOWN_LINES, _SHOWN_TEXT = 3, 24


class Transform(Component):
    """Analyzes the training split and transforms the examples of all splits, in one pipeline.

    What the analysis learns (vocabularies, for example) are assets: lists of lines, written to
    `assets/<name>.txt` and passed to the transform. Each shard becomes a shard of the same name in
    the same order, without the examples that the transform cannot use: those are dead letters,
    with split, file and index.

    Functions:
        analyze: `analyze(parameters)` returns a PTransform from the training examples (dicts from
            names to lists of `int`, `float` or `bytes`) to `(asset name, list of lines)` pairs,
            each name once.
        transform: `transform(parameters, assets)` returns a callable from an example's features to
            the transformed ones, which raises `BadRecordError` for an example it cannot use. It is
            built once per worker. `assets` maps names to lists of lines.

    Parameters:
        max_bad_fraction: largest tolerated fraction of dropped examples, in [0, 1].
    """

    INPUTS: ClassVar = {"examples": Examples, "schema": Schema, "anomalies": ExampleAnomalies}
    OPTIONAL_INPUTS: ClassVar = frozenset({"anomalies"})
    OUTPUTS: ClassVar = {"transform_graph": TransformGraph, "transformed_examples": Examples}
    FUNCTIONS: ClassVar = {
        "analyze": "analyze(parameters) returns a PTransform from examples to assets",
        "transform": "transform(parameters, assets) returns a callable on features",
    }

    class Parameters(Component.Parameters):
        """Parameters of Transform."""

        max_bad_fraction: float = pydantic.Field(0.01, ge=0, le=1)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Runs the Beam pipeline and checks its results.

        Raises:
            BadDataError: the training split is empty, or too many examples were dropped.
        """
        beam = load_beam()
        from ..beam import read_examples, shards
        from . import transforms

        parameters = context.parameters
        examples = context.inputs["examples"]
        graph = context.outputs["transform_graph"]
        transformed = context.outputs["transformed_examples"]
        splits = examples.splits
        if not splits.get("train"):
            raise BadDataError(
                "Transform needs at least one example in the split 'train' to learn from. "
                f"Received: {splits}. Check the source and --set ExampleGen.splits=…"
            )
        files = [(split, path) for split in splits for path in examples.files(split)]
        total = splits["train"] + sum(splits.values())

        def build(pipeline: Any, immediately: bool, token: str) -> Any:
            assets = (
                pipeline
                | "ReadTrain" >> read_examples.ReadExamples(examples.files("train"), token)
                | "Analyze" >> context.functions["analyze"](parameters)
                | "GroupByAsset" >> beam.GroupByKey()
                | "CheckAsset" >> beam.Map(transforms.checked_asset)
            )
            written_assets = assets | "WriteAsset" >> beam.Map(transforms.write_asset, graph.uri)
            outputs = (
                pipeline
                | "Shards" >> beam.Create(files, reshuffle=True)
                | "TransformShard"
                >> beam.ParDo(
                    transforms.TransformShard(
                        context.functions["transform"], parameters, transformed.uri, token
                    ),
                    beam.pvalue.AsDict(assets),
                ).with_outputs(shards.DEAD_LETTERS, main="shards")
            )
            counts = outputs.shards | "Counts" >> beam.Filter(lambda row: isinstance(row, dict))
            bad = outputs[shards.DEAD_LETTERS] | (
                "WriteDeadLetters" >> shards.WriteDeadLetters(transformed, immediately)
            )
            return (written_assets, counts, bad) | "Outcomes" >> beam.Flatten()

        rows, counters = run_pipeline(
            build,
            context.beam_arguments,
            transformed.uri,
            lambda done: context.progress(
                min(1.0, done / total), f"{done:,} of {total:,} examples read"
            ),
        )
        context.counters.update(counters)
        _finish(context, rows)


def _finish(context: ExecutionContext, rows: list[dict[str, Any]]) -> None:
    graph = context.outputs["transform_graph"]
    transformed = context.outputs["transformed_examples"]
    splits = dict.fromkeys(context.inputs["examples"].splits, 0)
    for row in rows:
        if "split" in row:
            splits[row["split"]] += row["count"]
    assets = {row["asset"]: row["lines"] for row in rows if "asset" in row}
    good = sum(splits.values())
    bad = sum(row.get("dead_letters", 0) for row in rows)
    context.counters.update(examples=good, bad_records=bad)
    dead_letters.finish(transformed)
    graph.properties["assets"] = assets
    transformed.properties["splits"] = splits

    dead_letters.check("Transform", transformed, good, bad, context.parameters.max_bad_fraction)
    if not splits["train"]:
        raise BadDataError(
            "Transform must keep at least one example of the split 'train'. "
            f"Received: {splits} after the transform"
        )
    learned = ", ".join(_learned(graph, name, lines) for name, lines in sorted(assets.items()))
    context.summary = f"{learned or 'no assets'}; {good:,} examples, {bad:,} bad"


def _learned(graph: TransformGraph, name: str, lines: int) -> str:
    """Returns an asset for the screen: a few short lines themselves, or else their number."""
    few = graph.asset(name) if lines <= _SHOWN_LINES else []
    text = " ".join(few)
    return f"{name} {text}" if few and len(text) <= _SHOWN_TEXT else f"{name} {lines:,}"
