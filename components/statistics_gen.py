"""StatisticsGen: statistics of each split as standard protos."""

from __future__ import annotations

from typing import Any, ClassVar

from . import beam_pipeline
from .artifacts import Examples, ExampleStatistics
from .component import Component, ExecutionContext


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
        beam = beam_pipeline.load_beam()
        from . import statistics_transforms

        examples = context.inputs["examples"]
        statistics = context.outputs["statistics"]
        files = [(split, path) for split in examples.splits for path in examples.files(split)]
        total = sum(examples.splits.values())

        def build(pipeline: Any, immediately: bool, token: str) -> Any:
            return (
                pipeline
                | "Shards" >> beam.Create(files)
                | "Distribute" >> beam.Reshuffle()
                | "Summarize" >> beam.ParDo(statistics_transforms.SummarizeShard(token))
                | "Merge" >> beam.CombinePerKey(statistics_transforms.MergeStatistics())
                | "Write" >> beam.ParDo(statistics_transforms.WriteStatistics(statistics.uri))
            )

        rows = beam_pipeline.run(
            context,
            build,
            "statistics",
            lambda done: (done / max(total, 1), f"{done:,} of {total:,} examples"),
        )
        counts = {row["split"]: row["examples"] for row in rows}
        statistics.properties["splits"] = {split: counts[split] for split in examples.splits}
        features = max(row["features"] for row in rows)
        context.counters.update(examples=sum(counts.values()), features=features)
        context.summary = (
            f"{sum(counts.values()):,} examples, {features} feature{'' if features == 1 else 's'}"
        )
