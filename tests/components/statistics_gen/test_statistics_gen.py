"""StatisticsGen against NumPy, and the sketches against exact answers."""

import math
from collections import Counter

import numpy as np
import pytest
from methodical.components.io.example_proto import encode
from methodical.components.statistics_gen import statistics_proto
from methodical.components.statistics_gen.component import StatisticsGen
from methodical.components.statistics_gen.sketches import QuantileSketch, ValueCounts
from methodical.components.statistics_gen.statistics import SplitAccumulator
from methodical.components.statistics_gen.transforms import merged as merged_parts
from tensorflow_metadata.proto.v0 import statistics_pb2

STANDARD, QUANTILES = statistics_pb2.Histogram.STANDARD, statistics_pb2.Histogram.QUANTILES


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    examples = []
    for index in range(1003):
        example = {
            "i": generator.integers(-3, 4, size=generator.integers(0, 4)).tolist(),
            "f": [float(np.float32(generator.normal(5, 2)))],
            "s": [f"w{value}" for value in generator.zipf(2.0, size=2)],
        }
        if index % 4 == 0:
            example["rare"] = [float(index % 8)]
        examples.append(example)
    return examples


@pytest.fixture
def datasets(execute, write_examples, data):
    examples = write_examples({"train": data, "eval": data[:7], "none": []}, shards=3)
    context = execute(StatisticsGen, {"examples": examples})
    assert context.summary == "1,010 examples, 4 features"
    assert context.counters["examples"] == 1010
    found = {}
    for split in ("train", "eval", "none"):
        path = context.outputs["statistics"].path(f"Split-{split}", "FeatureStats.pb")
        with open(path, "rb") as reader:
            proto = statistics_pb2.DatasetFeatureStatisticsList.FromString(reader.read())
        assert len(proto.datasets) == 1
        assert proto.datasets[0].name == split
        found[split] = proto.datasets[0]
    return found


def features(dataset):
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_counts_of_examples_and_values(datasets, data):
    assert {split: dataset.num_examples for split, dataset in datasets.items()} == {
        "train": 1003,
        "eval": 7,
        "none": 0,
    }
    assert not datasets["none"].features
    found = features(datasets["train"])
    assert list(found) == ["f", "i", "rare", "s"]
    for name, feature in found.items():
        common = statistics_proto.common_statistics(feature)
        lengths = [len(example[name]) for example in data if name in example]
        assert common.num_non_missing == len(lengths)
        assert common.num_missing == 1003 - len(lengths)
        assert common.min_num_values == min(lengths)
        assert common.max_num_values == max(lengths)
        assert common.avg_num_values == pytest.approx(np.mean(lengths))
        assert common.tot_num_values == sum(lengths)
        buckets = common.num_values_histogram.buckets
        assert sum(bucket.sample_count for bucket in buckets) == pytest.approx(len(lengths))


@pytest.mark.parametrize("name", ["i", "f", "rare"])
def test_numbers_agree_with_numpy(datasets, data, name):
    values = np.array([v for example in data for v in example.get(name, [])], np.float64)
    feature = features(datasets["train"])[name]
    kinds = {"i": statistics_pb2.FeatureNameStatistics.INT}
    assert feature.type == kinds.get(name, statistics_pb2.FeatureNameStatistics.FLOAT)
    numeric = feature.num_stats
    assert numeric.mean == pytest.approx(values.mean(), rel=1e-12)
    assert numeric.std_dev == pytest.approx(values.std(), rel=1e-12)
    assert numeric.min == values.min()
    assert numeric.max == values.max()
    assert numeric.median == np.median(values)
    assert numeric.num_zeros == (values == 0).sum()
    standard, quantiles = numeric.histograms
    assert (standard.type, quantiles.type) == (STANDARD, QUANTILES)
    counts, edges = np.histogram(values, bins=10)
    assert [bucket.sample_count for bucket in standard.buckets] == counts.tolist()
    lows = [bucket.low_value for bucket in standard.buckets]
    assert lows == pytest.approx(edges[:-1].tolist())
    assert quantiles.buckets[0].low_value == values.min()
    assert quantiles.buckets[-1].high_value == values.max()
    assert quantiles.buckets[4].high_value == pytest.approx(np.median(values))


def test_strings_agree_with_a_counter(datasets, data):
    counts = Counter(value for example in data for value in example["s"])
    feature = features(datasets["train"])["s"]
    assert feature.type == statistics_pb2.FeatureNameStatistics.STRING
    string = feature.string_stats
    assert string.unique == len(counts)
    lengths = [len(value) for value in counts.elements()]
    assert string.avg_length == pytest.approx(np.mean(lengths), rel=1e-6)
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert [(top.value, top.frequency) for top in string.top_values] == expected[:20]
    ranked = [(b.label, b.sample_count) for b in string.rank_histogram.buckets]
    assert ranked == expected
    assert not statistics_proto.custom(feature, statistics_proto.UNIQUE_IS_APPROXIMATE)


def test_integers_have_value_counts(datasets, data):
    counts = Counter(value for example in data for value in example["i"])
    feature = features(datasets["train"])["i"]
    assert statistics_proto.custom(feature, statistics_proto.UNIQUE) == 7
    assert statistics_proto.value_counts(feature) == {str(v): c for v, c in counts.items()}


def accumulated(examples):
    accumulator = SplitAccumulator()
    accumulator.add(map(encode, examples))
    statistics = statistics_proto.split_statistics("train", accumulator)
    return features(statistics.datasets[0])


def test_parts_merge_to_the_whole(data):
    whole, left, right = SplitAccumulator(), SplitAccumulator(), SplitAccumulator()
    encoded = [encode(example) for example in data]
    whole.add(encoded)
    left.add(encoded[:700])
    right.add(encoded[700:])
    left = merged_parts([left, SplitAccumulator(), right])
    expected = features(statistics_proto.split_statistics("x", whole).datasets[0])
    merged = features(statistics_proto.split_statistics("x", left).datasets[0])
    for name in ("s", "i"):
        assert statistics_proto.value_counts(merged[name]) == statistics_proto.value_counts(
            expected[name]
        )
    assert merged["f"].num_stats.std_dev == pytest.approx(
        expected["f"].num_stats.std_dev, rel=1e-12
    )
    assert merged["f"].num_stats.median == expected["f"].num_stats.median


def test_not_a_number_and_infinity_are_counted_apart():
    found = accumulated([{"x": [1.0, math.nan]}, {"x": [math.inf, 3.0]}])["x"]
    assert found.num_stats.mean == 2.0
    assert found.num_stats.num_zeros == 0
    assert found.num_stats.max == math.inf
    assert found.num_stats.min == 1.0
    assert [histogram.num_nan for histogram in found.num_stats.histograms] == [1, 1]
    assert statistics_proto.custom(found, statistics_proto.NUM_INFINITE) == 1
    assert sum(b.sample_count for b in found.num_stats.histograms[0].buckets) == 2


def test_bytes_that_are_no_text():
    image = b"\xff\xd8" + bytes(1000)
    found = accumulated([{"image": [image]}, {"image": [image]}, {"image": [b"\xff"]}])["image"]
    assert found.type == statistics_pb2.FeatureNameStatistics.BYTES
    assert found.bytes_stats.unique == 2
    assert found.bytes_stats.avg_num_bytes == pytest.approx((1002 * 2 + 1) / 3)
    assert (found.bytes_stats.min_num_bytes, found.bytes_stats.max_num_bytes) == (1, 1002)
    mostly = accumulated([{"t": [b"\xff"]}, {"t": ["b"]}, {"t": [b"\xff"]}])["t"]
    assert mostly.type == statistics_pb2.FeatureNameStatistics.BYTES
    text = accumulated([{"t": ["é"]}, {"t": ["b"]}, {"t": [b"\xff"]}])["t"]
    assert text.type == statistics_pb2.FeatureNameStatistics.STRING
    assert text.string_stats.invalid_utf8_count == 1


def test_mixed_types_and_empty_features_are_said():
    found = accumulated([{"x": [1], "e": []}, {"x": [2], "e": []}, {"x": ["a"], "e": []}])
    assert found["x"].type == statistics_pb2.FeatureNameStatistics.INT
    assert statistics_proto.custom(found["x"], statistics_proto.EXAMPLES_OF + "bytes_list") == 1
    assert found["e"].num_stats.common_stats.num_non_missing == 3
    assert statistics_proto.custom(found["e"], statistics_proto.EMPTY) == 1
    assert not statistics_proto.custom(found["x"], statistics_proto.EMPTY)


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_quantiles_of_many_numbers_are_near_and_memory_is_bounded(order):
    values = np.random.default_rng(1).lognormal(size=300_000)
    if order == "sorted":
        values = np.sort(values)
    parts = [QuantileSketch() for _ in range(4)]
    for part, chunk in zip(parts, np.split(values, 4), strict=True):
        for batch in np.array_split(chunk, 101):
            part.add(batch)
    sketch = parts[0]
    for part in parts[1:]:
        sketch.merge(part)
    kept, weights = sketch.samples()
    assert len(kept) < 4096 * 10
    assert weights.sum() == len(values)
    fractions = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    ranks = np.searchsorted(np.sort(values), sketch.quantiles(fractions)) / len(values)
    assert ranks == pytest.approx(fractions, abs=0.002)


def test_errors_of_many_halvings_do_not_add_up():
    sketch = QuantileSketch(64)
    sketch.add(np.random.default_rng(0).permutation(100_000).astype(np.float64))
    assert sketch.quantiles([0.5])[0] / 100_000 == pytest.approx(0.5, abs=0.02)


def test_a_late_frequent_value_is_kept():
    counts = ValueCounts(10)
    counts.add([value for value in range(10) for _ in range(5)])
    for index in range(100):
        counts.add(["late"] * 3 + [f"{index} {place}" for place in range(12)])
    total = 50 + 100 * 15
    assert 300 - total / 10 <= counts.counts["late"] <= 300


def test_a_small_sketch_is_exact():
    sketch = QuantileSketch()
    assert sketch.quantiles([0.5]) == []
    sketch.add(np.array([4.0, 1.0, 3.0, 2.0]))
    assert sketch.quantiles([0, 0.25, 0.5, 1]) == [1.0, 1.5, 2.5, 4.0]
    with pytest.raises(ValueError, match="size=3"):
        QuantileSketch(3)


@pytest.mark.parametrize("merged", [False, True])
def test_many_distinct_values_are_estimated_and_flagged(merged):
    generator = np.random.default_rng(2)
    values = generator.integers(0, 60_000, size=150_000).tolist() + [-1] * 20_000
    generator.shuffle(values)
    parts = [ValueCounts(5000) for _ in range(3)]
    for place in range(0, len(values), 1000):
        parts[place // 1000 % 3 if merged else 0].add(values[place : place + 1000])
    counts = parts[0]
    for part in parts[1:]:
        counts.merge(part)
    assert not counts.exact
    assert len(counts.counts) <= 10_000
    assert counts.unique == pytest.approx(len(set(values)), rel=0.06)
    assert 20_000 - len(values) / 5000 * 3 <= counts.counts[-1] <= 20_000
    few = ValueCounts(5000)
    few.add([1, 1, 2])
    assert few.exact
    assert few.unique == 2
