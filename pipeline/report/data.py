"""The report's data section: statistics, anomalies, dead letters and sample records."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ExampleAnomalies, Examples, ExampleStatistics
from ...components.io import example_proto, filesystem, tfrecord
from ..charts.bars import histogram
from ..charts.svg import number
from .figures import is_picture
from .outputs import Outputs, count_lines, json_rows, plain

SAMPLES = 6
TOP_VALUES = 5
DATA_SET = "(data set)"
DEAD_LETTERS = 20
MOST_PICTURE = 1 << 19
EXAMPLES = "examples.json"
# As in `statistics_proto`, which loads NumPy.
EMPTY = "never_has_a_value"
KEPT = re.compile(r"(?:(\w+)-)?dead_letters(?:-\d+)?\.jsonl")
ORDER = {"train": 0, "eval": 1, "test": 2}


def statistics(outputs: Outputs) -> dict[str, Any]:
    """Returns the statistics as rows of features with a cell for each split."""
    artifact = outputs.artifact("StatisticsGen", "statistics", ExampleStatistics)
    if artifact is None:
        return {}
    from tensorflow_metadata.proto.v0 import statistics_pb2

    counts: dict[str, int] = {}
    features: dict[str, dict[str, Any]] = {}
    for split in _splits(artifact.uri):
        path = artifact.path(f"Split-{split}", "FeatureStats.pb")
        with filesystem.open_file(path, "rb") as reader:
            statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(reader.read())
        for dataset in statistics.datasets:
            counts[split] = dataset.num_examples
            for feature in dataset.features:
                name = feature.name or ".".join(feature.path.step)
                row = features.setdefault(name, {"name": name, "type": "", "cells": {}})
                # Without a value the type in the statistics says nothing.
                if any(custom.name == EMPTY for custom in feature.custom_stats):
                    row["cells"][split] = {"facts": [("values", "none")], "chart": "", "top": []}
                    continue
                kind = statistics_pb2.FeatureNameStatistics.Type.Name(feature.type).lower()
                row["type"] = row["type"] or kind
                row["cells"][split] = _cell(feature, name, split)
    return {"splits": counts, "features": [features[name] for name in sorted(features)]}


def anomalies(outputs: Outputs) -> dict[str, Any]:
    """Returns the anomalies of every split, with the records that show them."""
    artifact = outputs.artifact("ExampleValidator", "anomalies", ExampleAnomalies)
    if artifact is None:
        return {}
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    rows, splits = [], _splits(artifact.uri)
    for split in splits:
        path = artifact.path(f"Split-{split}", "SchemaDiff.pb")
        with filesystem.open_file(path, "rb") as reader:
            split_anomalies = anomalies_pb2.Anomalies.FromString(reader.read())
        every = dict(split_anomalies.anomaly_info)
        if split_anomalies.HasField("dataset_anomaly_info"):
            every[DATA_SET] = split_anomalies.dataset_anomaly_info
        if split_anomalies.data_missing:
            rows.append(_anomaly(split, DATA_SET, "the split is empty", ""))
        for name in sorted(every):
            info = every[name]
            rows.append(_anomaly(split, name, info.short_description, info.description))
    shown = artifact.read_json(EXAMPLES) if filesystem.exists(artifact.path(EXAMPLES)) else []
    columns = ("split", "feature", "anomaly", "file", "index", "value")
    examples = [{name: plain(row.get(name, "")) for name in columns} for row in shown]
    return {"splits": splits, "rows": rows, "examples": examples}


def dead_letters(outputs: Outputs) -> dict[str, Any]:
    """Returns the first dead letters of every stage, those of a failed stage among them."""
    letters = [
        (component, artifact.path(Examples.DEAD_LETTERS))
        for component, output in (
            ("ExampleGen", "examples"),
            ("Transform", "transformed_examples"),
        )
        if (artifact := outputs.artifact(component, output, Examples)) is not None
    ]
    folder = outputs.run_path()
    for name in filesystem.list_dir(folder):
        if kept := KEPT.fullmatch(name):
            letters.append((kept.group(1) or "failed stage", filesystem.join(folder, name)))
    total = 0
    rows: list[dict[str, Any]] = []
    for component, path in letters:
        total += count_lines(path)
        rows.extend(
            {
                "component": component,
                "source": plain(row.get("source", "")),
                "position": plain(row.get("position", "")),
                "reason": plain(row.get("reason", "")),
            }
            for row in json_rows(path, DEAD_LETTERS)
        )
    reached = any(stage["state"] != "skipped" for stage in outputs.stages.values())
    return {"reached": reached, "total": total, "rows": rows[:DEAD_LETTERS]}


def samples(outputs: Outputs, method: Any) -> dict[str, Any]:
    """Returns a few examples of the training split as the method shows them."""
    artifact = outputs.artifact("ExampleGen", "examples", Examples)
    if artifact is None:
        return {}
    split = min(artifact.splits, key=lambda name: (ORDER.get(name, 9), name))
    draw = method.data.sample if method is not None else _plain_sample
    shown = []
    for record in spread_records(artifact.files(split), SAMPLES):
        features = example_proto.decode(record)
        shown.append({str(key): _sample_text(text) for key, text in draw(features).items()})
    return {"split": split, "shown": shown}


def _sample_text(text: Any) -> str:
    """Bounds a text, and a picture by what a page can carry."""
    if not is_picture(text):
        return plain(text, 1500)
    if len(text) > MOST_PICTURE:
        return f"a picture of {number(len(text))} characters, too large to show"
    return text


def short_example(outputs: Outputs) -> Mapping[str, Any]:
    """Returns the features of one example, a short one, or an empty mapping."""
    artifact = outputs.artifact("ExampleGen", "examples", Examples)
    if artifact is None:
        return {}
    split = min(artifact.splits, key=lambda name: (ORDER.get(name, 9), name))
    records = spread_records(artifact.files(split), 64, most=500)
    return example_proto.decode(min(records, key=len)) if records else {}


def spread_records(
    paths: Sequence[str], count: int, most: int = 20_000, most_bytes: int = 1 << 26
) -> list[bytes]:
    """Returns a few records that lie evenly over the first `most` ones.

    Args:
        paths: gzipped TFRecord files, read in order.
        count: how many records are returned at most.
        most: how many are looked at at most.
        most_bytes: how many bytes are looked at at most.
    """
    seen: list[bytes] = []
    held = 0
    every = itertools.chain.from_iterable(tfrecord.read_records(path) for path in paths)
    for record in itertools.islice(every, most):
        seen.append(record)
        held += len(record)
        if held >= most_bytes:
            break
    shown = min(count, len(seen))
    return [seen[index * len(seen) // shown] for index in range(shown)]


def _anomaly(split: str, feature: str, what: str, description: str) -> dict[str, str]:
    return {"split": split, "feature": feature, "what": what, "description": description}


def _plain_sample(features: Mapping[str, Any]) -> dict[str, str]:
    return {name: plain(features[name], 200) for name in sorted(features)}


def _splits(uri: str) -> list[str]:
    names = [name[len("Split-") :] for name in filesystem.list_dir(uri) if name[:6] == "Split-"]
    return sorted(names, key=lambda name: (ORDER.get(name, 9), name))


def _cell(feature: Any, name: str, split: str) -> dict[str, Any]:
    which = feature.WhichOneof("stats")
    cell: dict[str, Any] = {"facts": [], "chart": "", "top": []}
    if which is None:
        return cell
    stats = getattr(feature, which)
    common = getattr(stats, "common_stats", None)
    facts = cell["facts"]
    if common is not None:
        if common.num_missing:
            facts.append(("missing", number(common.num_missing)))
        if common.max_num_values > 1:
            facts.append(
                (
                    "values an example",
                    f"{number(common.min_num_values)}–{number(common.max_num_values)},"
                    f" mean {number(common.avg_num_values)}",
                )
            )
    if which == "num_stats":
        facts.append(("mean", number(stats.mean)))
        facts.append(("std", number(stats.std_dev)))
        facts.append(("median", number(stats.median)))
        if stats.num_zeros:
            facts.append(("zeros", number(stats.num_zeros)))
        drawn = sorted(stats.histograms, key=lambda histogram_stats: histogram_stats.type)[:1]
        for histogram_stats in drawn:
            buckets = [(b.low_value, b.high_value, b.sample_count) for b in histogram_stats.buckets]
            cell["chart"] = histogram(buckets, f"histogram of {name} in {split}")
    elif which == "string_stats":
        facts.append(("different", number(stats.unique)))
        facts.append(("mean length", number(stats.avg_length)))
        top = list(stats.top_values)[:TOP_VALUES]
        most = max((value.frequency for value in top), default=0) or 1
        cell["top"] = [
            {
                "value": plain(value.value, 60),
                "count": number(value.frequency),
                "share": 100 * value.frequency / most,
            }
            for value in top
        ]
    elif which == "bytes_stats":
        facts.append(("different", number(stats.unique)))
        facts.append(("mean bytes", number(stats.avg_num_bytes)))
    return cell
