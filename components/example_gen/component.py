"""ExampleGen: reads a source into splits of `tf.train.Example`s."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, ClassVar

import pydantic

from ..base.artifacts import Examples
from ..base.component import Component, ExecutionContext
from ..base.errors import BadDataError
from ..beam import dead_letters
from ..beam.options import load_beam
from ..beam.run import run_pipeline

SplitName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_-]+$")]


class ExampleGen(Component):
    """Reads records and writes them as `tf.train.Example`s, in splits and shards.

    A record goes to the split that the data prescribes. If it prescribes none, the SHA-256 of the
    record's key chooses the split, so that records with the same key stay together and every run
    splits alike. Within a shard, examples are sorted by that hash, then by source and position, so
    that the files depend on the records only. Unusable records go to the dead letters.

    Functions:
        read: `read(parameters, data_dir)` returns a Beam PTransform from the pipeline's root to a
            PCollection of `Record` and `BadRecord`.

    Parameters:
        splits: weights of the splits by name; a key falls into a split with probability
            weight / sum of weights.
        shards: number of files of each split.
        max_bad_fraction: largest tolerated fraction of bad records, in [0, 1].
    """

    OUTPUTS: ClassVar = {"examples": Examples}
    FUNCTIONS: ClassVar = {
        "read": "read(parameters, data_dir) returns a PTransform to records",
    }

    class Parameters(Component.Parameters):
        """Parameters of ExampleGen."""

        splits: dict[SplitName, pydantic.PositiveInt] = pydantic.Field(
            {"train": 9, "eval": 1}, min_length=1
        )
        shards: pydantic.PositiveInt = 1
        max_bad_fraction: float = pydantic.Field(0.01, ge=0, le=1)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Runs the Beam pipeline and checks its results.

        Raises:
            BadDataError: too many bad records, or no example in the split `train`.
        """
        beam = load_beam()
        from ..beam import shards
        from . import transforms

        parameters = context.parameters
        examples = context.outputs["examples"]

        def build(pipeline: Any, immediately: bool, token: str) -> Any:
            encoded = (
                pipeline
                | "Read" >> context.functions["read"](parameters, context.data_dir)
                | "Encode"
                >> beam.ParDo(
                    transforms.EncodeRecord(dict(parameters.splits), parameters.shards)
                ).with_outputs(shards.DEAD_LETTERS, main="examples")
            )
            written = encoded.examples | "WriteExamples" >> shards.WriteExamples(
                examples.uri, parameters.shards, immediately, token
            )
            bad = encoded[shards.DEAD_LETTERS] | (
                "WriteDeadLetters" >> shards.WriteDeadLetters(examples, immediately)
            )
            return (written, bad) | "Outcomes" >> beam.Flatten()

        rows, counters = run_pipeline(
            build,
            context.beam_arguments,
            examples.uri,
            lambda done: context.progress(None, f"{done:,} records read"),
        )
        context.counters.update(counters)
        _finish(context, examples, rows)


def _finish(context: ExecutionContext, examples: Examples, rows: list[dict[str, Any]]) -> None:
    from ..beam import shards

    parameters = context.parameters
    written = [row for row in rows if "split" in row]
    good = sum(row["count"] for row in written)
    records = sum(row["records"] for row in written)
    bad = sum(row.get("dead_letters", 0) for row in rows)
    context.counters.update(examples=good, bad_records=bad)
    if records != good:
        context.counters.update(records=records)
    dead_letters.finish(examples)

    names = {row["split"] for row in written}
    if any(row["hashed"] for row in written):
        names |= parameters.splits.keys()
    order = [name for name in parameters.splits if name in names]
    order += sorted(names - parameters.splits.keys())
    by_shard = {(row["split"], row["shard"]): row["count"] for row in written}
    counts = dict.fromkeys(order, 0)
    for name, shard in itertools.product(order, range(parameters.shards)):
        if (name, shard) in by_shard:
            counts[name] += by_shard[name, shard]
        else:
            shards.write_shard(examples.uri, name, shard, parameters.shards, ())
    examples.properties["splits"] = counts

    dead_letters.check("ExampleGen", examples, records, bad, parameters.max_bad_fraction)
    by_split = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if not counts.get("train"):
        raise BadDataError(
            "ExampleGen needs at least one example in the split 'train'. "
            f"Received: {by_split or 'no records'}. "
            "Check the source (--data, --data-dir) and --set ExampleGen.splits=…"
        )
    empty = [name for name, count in counts.items() if not count]
    made_of = f" of {records:,} records" if records != good else ""
    context.summary = f"{good:,} examples{made_of} ({by_split}), {bad:,} bad" + "".join(
        f"; split {name!r} is empty" for name in empty
    )
