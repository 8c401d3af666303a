"""StatisticsGen: statistics of each split as standard protos."""

from __future__ import annotations

from typing import Any, ClassVar

from ..base.artifacts import Examples, ExampleStatistics
from ..base.component import Component, ExecutionContext
from ..beam.options import load_beam
from ..beam.run import run_pipeline


class StatisticsGen(Component):
    """Writes `Split-<name>/FeatureStats.pb` for each split of the examples.

    The file holds a `tensorflow_metadata` `DatasetFeatureStatisticsList` with one dataset, named
    after the split. Numbers of examples, of values and of zeros, extremes, mean and standard
    deviation are exact. Median and histograms are exact up to 4,096 values and then have a rank
    error below about 0.2 %. Distinct values and their counts are exact up to 20,000 distinct
    values; beyond, they are estimates and the custom statistic `unique_is_approximate` is 1.
    """

    INPUTS: ClassVar = {"examples": Examples}
    OUTPUTS: ClassVar = {"statistics": ExampleStatistics}

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Runs the Beam pipeline."""
        beam = load_beam()
        from . import transforms

        examples = context.inputs["examples"]
        statistics = context.outputs["statistics"]
        files = [(split, path) for split in examples.splits for path in examples.files(split)]
        total = sum(examples.splits.values())

        def build(pipeline: Any, immediately: bool, token: str) -> Any:
            return (
                pipeline
                | "Shards" >> beam.Create(files, reshuffle=True)
                | "Summarize" >> beam.Map(transforms.summarize_shard, token)
                | "Merge" >> beam.CombinePerKey(transforms.merged)
                | "Write" >> beam.Map(transforms.write_statistics, statistics.uri)
            )

        rows, counters = run_pipeline(
            build,
            context.beam_arguments,
            statistics.uri,
            lambda done: context.progress(done / max(total, 1), f"{done:,} of {total:,} examples"),
        )
        counts = {row["split"]: row["examples"] for row in rows}
        statistics.properties["splits"] = {split: counts[split] for split in examples.splits}
        features = max(row["features"] for row in rows)
        context.counters.update(counters, examples=sum(counts.values()), features=features)
        context.summary = (
            f"{sum(counts.values()):,} examples, {features} feature{'' if features == 1 else 's'}"
        )
