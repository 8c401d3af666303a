"""ExampleValidator: compares the statistics of each split with the schema."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ..base.artifacts import ExampleAnomalies, Examples, ExampleStatistics, Schema
from ..base.component import Component, ExecutionContext, Stop
from ..beam.options import load_beam
from ..beam.run import run_pipeline
from ..io import filesystem

_EXAMPLES_SHOWN = 3


class ExampleValidator(Component):
    """Writes `Split-<name>/SchemaDiff.pb`, a `tensorflow_metadata` `Anomalies`, for each split.

    Anomalies are: a feature that is missing, partly missing or new, another type, too few or too
    many values, a string outside its domain or not UTF-8, a number outside its range, NaN and
    infinity. Skew and drift are not checked. If there are anomalies, a second pass over the
    examples lists the first examples of each in `examples.json`, a list of
    `{"split", "file", "index", "feature", "anomaly", "value"}`, and the run stops.

    Parameters:
        on_anomalies: `"stop"` ends the run after this stage, `"warn"` only reports the anomalies.
    """

    INPUTS: ClassVar = {
        "statistics": ExampleStatistics,
        "schema": Schema,
        "examples": Examples,
    }
    OUTPUTS: ClassVar = {"anomalies": ExampleAnomalies}

    class Parameters(Component.Parameters):
        """Parameters of ExampleValidator."""

        on_anomalies: Literal["stop", "warn"] = "stop"

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Compares, names examples, and sets `context.stop` if there are anomalies."""
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        from ..statistics_gen import statistics_proto
        from . import schema_checks

        statistics = context.inputs["statistics"]
        anomalies = context.outputs["anomalies"]
        with filesystem.open_file(context.inputs["schema"].path("schema.pbtxt")) as reader:
            schema = text_format.Parse(reader.read(), schema_pb2.Schema())
        findings: dict[str, list[Any]] = {}
        for split in statistics.properties["splits"]:
            folder = f"Split-{split}"
            split_statistics = statistics_proto.read(statistics.path(folder, "FeatureStats.pb"))
            findings[split] = schema_checks.check_statistics(split_statistics, schema)
            proto = schema_checks.to_proto(findings[split], schema, split_statistics.num_examples)
            filesystem.make_dirs(anomalies.path(folder))
            with filesystem.open_file(anomalies.path(folder, "SchemaDiff.pb"), "wb") as writer:
                writer.write(proto.SerializeToString(deterministic=True))
        with_anomalies = {split: anomalous for split, anomalous in findings.items() if anomalous}
        rows = _name_examples(context, with_anomalies, schema) if with_anomalies else []
        anomalies.write_json("examples.json", rows)
        counts = {split: len(anomalous) for split, anomalous in findings.items()}
        total = sum(counts.values())
        anomalies.properties.update(anomalies=total, splits=counts)
        context.counters["anomalies"] = total
        context.summary = f"{total} {'anomaly' if total == 1 else 'anomalies'}"
        if total:
            context.summary += " in " + ", ".join(
                f"{split} {len(anomalous)}" for split, anomalous in with_anomalies.items()
            )
        empty = [name for name, count in statistics.properties["splits"].items() if not count]
        context.summary += "".join(f"; split {name!r} is empty" for name in empty)
        if total and context.parameters.on_anomalies == "stop":
            context.stop = Stop(
                "bad_data",
                f"ExampleValidator found {context.summary}:\n{_describe(with_anomalies, rows)}\n"
                "The same list is in examples.json of its output. Fix the data, or continue with "
                "--set ExampleValidator.on_anomalies=warn.",
            )


def _name_examples(
    context: ExecutionContext, findings: dict[str, list[Any]], schema: Any
) -> list[dict[str, Any]]:
    beam = load_beam()
    from .transforms import FindExamples

    examples = context.inputs["examples"]
    files = [(split, path) for split in findings for path in examples.files(split)]
    total = sum(examples.splits[split] for split in findings)

    def build(pipeline: Any, immediately: bool, token: str) -> Any:
        return (
            pipeline
            | "Shards" >> beam.Create(files, reshuffle=True)
            | "FindExamples"
            >> beam.ParDo(
                FindExamples(findings, schema.SerializeToString(), _EXAMPLES_SHOWN, token)
            )
        )

    rows, counters = run_pipeline(
        build,
        context.beam_arguments,
        context.outputs["anomalies"].uri,
        lambda done: context.progress(
            min(1.0, done / max(total, 1)), f"{done:,} of {total:,} examples searched"
        ),
    )
    context.counters.update(counters)
    rows.sort(key=lambda row: (list(findings).index(row["split"]), row["file"], row["index"]))
    by_anomaly: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_anomaly.setdefault((row["split"], row["feature"], row["anomaly"]), []).append(row)
    return [row for shown in by_anomaly.values() for row in shown[:_EXAMPLES_SHOWN]]


def _describe(anomalies: dict[str, list[Any]], rows: list[dict[str, Any]]) -> str:
    lines = []
    for split, findings in anomalies.items():
        for finding in findings:
            lines.append(f"  {split}: {finding.feature}: {finding.short}. {finding.description}")
            lines += [
                f"    Split-{split}/{row['file']}, example {row['index']}: {row['value']}"
                for row in rows
                if (row["split"], row["feature"], row["anomaly"])
                == (split, finding.feature, finding.kind)
            ]
    return "\n".join(lines)
