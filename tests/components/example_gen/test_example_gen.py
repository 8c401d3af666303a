"""ExampleGen: splits, order, dead letters, and what becomes of the features."""

import json
import random

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.errors import BadDataError
from methodical.components.example_gen.component import ExampleGen
from methodical.components.example_gen.transforms import SplitByKey
from methodical.components.io import example_proto
from methodical.components.io.records import BadRecord, BadRecordError, Record


def source(records):
    return {"read": lambda parameters, data_dir: beam.Create(records, reshuffle=False)}


def numbered(count, **keywords):
    return [
        Record(f"story{index // 3}", {"n": [index]}, source="a.txt", position=f"line {index}")
        for index in range(count)
    ]


def read(examples, split):
    dataset = tf.data.TFRecordDataset(examples.files(split), compression_type="GZIP")
    return [tf.train.Example.FromString(value.numpy()) for value in dataset]


def number(example):
    return example.features.feature["n"].int64_list.value[0]


def test_every_record_lands_in_one_split_and_related_records_together(execute):
    context = execute(ExampleGen, functions=source(numbered(300)), splits={"train": 2, "eval": 1})
    examples = context.outputs["examples"]
    found = {
        split: [number(example) for example in read(examples, split)] for split in examples.splits
    }
    assert sorted(found["train"] + found["eval"]) == list(range(300))
    assert examples.splits == {split: len(values) for split, values in found.items()}
    stories = [{value // 3 for value in values} for values in found.values()]
    assert not stories[0] & stories[1]
    assert list(examples.splits) == ["train", "eval"]
    assert 0.55 < examples.splits["train"] / 300 < 0.78
    assert context.counters == {"examples": 300, "bad_records": 0}
    assert "300 examples" in context.summary


def test_the_split_of_a_key_never_changes():
    # Worked out with hashlib apart from the code: sha256(key)[:8] % 10, buckets 0-8 are train.
    choose = SplitByKey({"train": 9, "eval": 1}, 4)
    assert [choose(f"key{index}")[0] for index in range(14)] == EXPECTED_SPLITS
    assert [choose(f"key{index}")[1] for index in range(6)] == EXPECTED_SHARDS


EXPECTED_SPLITS = [
    "train" if bucket < 9 else "eval" for bucket in (6, 1, 3, 2, 3, 7, 3, 9, 2, 7, 1, 2, 6, 1)
]
EXPECTED_SHARDS = [3, 2, 0, 0, 0, 0]


def test_weights_are_the_probabilities_of_the_splits():
    choose = SplitByKey({"a": 1, "b": 2, "c": 7}, 3)
    places = [choose(str(index))[:2] for index in range(20_000)]
    for split, weight in (("a", 0.1), ("b", 0.2), ("c", 0.7)):
        shards = [shard for name, shard in places if name == split]
        assert len(shards) / len(places) == pytest.approx(weight, abs=0.01)
        # Independent of the split, each shard takes a third.
        assert np.bincount(shards) / len(shards) == pytest.approx(np.full(3, 1 / 3), abs=0.04)


def test_a_split_that_the_data_prescribes_is_kept(execute):
    records = [
        Record(f"k{index}", {"n": [index]}, split=("train", "test")[index % 2])
        for index in range(20)
    ]
    examples = execute(ExampleGen, functions=source(records)).outputs["examples"]
    assert examples.splits == {"train": 10, "test": 10}
    assert sorted(map(number, read(examples, "test"))) == list(range(1, 20, 2))


def test_files_depend_on_the_records_alone(execute, contents):
    records = numbered(200)
    records[7] = BadRecord("a.txt", "line 7", "no answer")
    first = execute(ExampleGen, functions=source(records), folder="a", shards=2, max_bad_fraction=1)
    random.Random(0).shuffle(records)
    second = execute(
        ExampleGen, functions=source(records), folder="b", shards=2, max_bad_fraction=1
    )
    files = contents(first.outputs["examples"].uri)
    assert files == contents(second.outputs["examples"].uri)
    assert sorted(files) == [
        "Split-eval/examples-00000-of-00002.gz",
        "Split-eval/examples-00001-of-00002.gz",
        "Split-train/examples-00000-of-00002.gz",
        "Split-train/examples-00001-of-00002.gz",
        "dead_letters.jsonl",
    ]
    numbers = list(map(number, read(first.outputs["examples"], "train")))
    half = len(numbers) // 3
    assert numbers[:half] != sorted(numbers[:half])
    places = {value: place for place, value in enumerate(numbers)}
    # Questions of one story follow one another: line 9 before line 10.
    for value in numbers:
        if value % 3 < 2 and value + 1 in places:
            assert places[value + 1] == places[value] + 1


def test_zero_empty_text_and_empty_lists_are_kept(execute):
    features = {
        "zero": [0],
        "zero_float": [0.0],
        "empty_text": [""],
        "nothing": [],
        "array": np.array([1, 2], np.int32),
        "scalars": [np.float32(1.5)],
        "bytes": [b"\xff", "é"],
        "flag": [True, False],
    }
    context = execute(ExampleGen, functions=source([Record("k", features, split="train")]))
    (example,) = read(context.outputs["examples"], "train")
    found = example.features.feature
    assert sorted(found) == sorted(features)
    assert list(found["zero"].int64_list.value) == [0]
    assert list(found["zero_float"].float_list.value) == [0.0]
    assert list(found["empty_text"].bytes_list.value) == [b""]
    assert found["nothing"].WhichOneof("kind") is None
    assert list(found["array"].int64_list.value) == [1, 2]
    assert list(found["scalars"].float_list.value) == [1.5]
    assert list(found["bytes"].bytes_list.value) == [b"\xff", "é".encode()]
    assert list(found["flag"].int64_list.value) == [1, 0]
    assert example_proto.decode(example.SerializeToString())["nothing"] == []


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"a": [1, 2.0]}, "float, int"),
        ({"a": [1, "x"]}, "int, str"),
        ({"a": [None]}, "NoneType"),
        ({"a": "text"}, "'text'"),
        ({"a": 3}, "Received: 3"),
        ({"a": [2**63]}, str(2**63)),
        ({"a": [1e39]}, "1e+39"),
        ({"a": ["\ud800"]}, "UTF-8"),
        ({"a": np.zeros((2, 2))}, "(2, 2)"),
        ({"": [1]}, "non-empty"),
    ],
)
def test_what_an_example_cannot_hold_is_a_bad_record(features, reason):
    with pytest.raises(BadRecordError) as raised:
        example_proto.encode(features)
    assert reason in str(raised.value)


def test_encoding_agrees_with_tensorflow():
    expected = tf.train.Example()
    expected.features.feature["f"].float_list.value.extend([0.1, float("inf"), float("nan")])
    expected.features.feature["i"].int64_list.value.extend([-(2**63), 2**63 - 1])
    expected.features.feature["b"].bytes_list.value.extend([b"", b"x" * 300])
    features = {
        "i": [-(2**63), 2**63 - 1],
        "f": [0.1, float("inf"), float("nan")],
        "b": [b"", b"x" * 300],
    }
    assert example_proto.encode(features) == expected.SerializeToString(deterministic=True)
    decoded = example_proto.decode(expected.SerializeToString())
    assert list(decoded) == ["b", "f", "i"]
    assert decoded["i"] == features["i"]
    assert decoded["f"][0] == np.float32(0.1)


def test_dead_letters_are_sorted_and_say_where_and_why(execute):
    records = [
        *numbered(200),
        BadRecord("b.txt", "line 10", "second"),
        BadRecord("b.txt", "line 9", "first"),
        Record("k", {"n": [1, "x"]}, source="a.txt", position="line 1"),
        Record("k", {"n": [1]}, split="../up", source="c.txt", position="line 1"),
    ]
    context = execute(ExampleGen, functions=source(records), max_bad_fraction=0.02)
    with open(context.outputs["examples"].path("dead_letters.jsonl")) as reader:
        rows = [json.loads(line) for line in reader]
    assert [(row["source"], row["position"]) for row in rows] == [
        ("a.txt", "line 1"),
        ("b.txt", "line 9"),
        ("b.txt", "line 10"),
        ("c.txt", "line 1"),
    ]
    assert "int, str" in rows[0]["reason"]
    assert rows[1]["reason"] == "first"
    assert "'../up'" in rows[3]["reason"]
    assert context.counters == {"examples": 200, "bad_records": 4}
    assert "4 bad" in context.summary


def test_too_many_bad_records_stop_the_stage(execute):
    bad = [BadRecord("b.txt", f"line {index}", f"reason {index}") for index in range(4)]
    with pytest.raises(BadDataError) as raised:
        execute(ExampleGen, functions=source([*numbered(96), *bad]), max_bad_fraction=0.039)
    message = str(raised.value)
    assert "4 of 100 records (4.00%)" in message
    assert "b.txt line 2: reason 2" in message
    assert "reason 3" not in message
    assert "--set ExampleGen.max_bad_fraction=0.04" in message
    with open(execute.last.outputs["examples"].path("dead_letters.jsonl")) as reader:
        assert len(reader.readlines()) == 4
    execute(ExampleGen, functions=source([*numbered(96), *bad]), max_bad_fraction=0.04)


def test_bad_records_are_counted_beside_the_records_of_an_example(execute):
    whole = [Record(f"u{index}", {"n": [1, 2]}, records=60 + index) for index in range(5)]
    broken = [BadRecord("ratings.csv", f"line {index}", "no number") for index in range(4)]
    read = source(whole + broken)
    context = execute(ExampleGen, functions=read, splits={"train": 1}, max_bad_fraction=0.013)
    assert context.counters == {"examples": 5, "records": 310, "bad_records": 4}
    assert context.summary.startswith("5 examples of 310 records (train 5), 4 bad")
    with pytest.raises(BadDataError, match=r"4 of 314 records \(1.27%\)"):
        execute(ExampleGen, functions=read, splits={"train": 1}, max_bad_fraction=0.0127)


def test_an_empty_training_split_stops_the_stage(execute):
    with pytest.raises(BadDataError, match="no records"):
        execute(ExampleGen, functions=source([]))
    with pytest.raises(BadDataError, match="test 1"):
        execute(ExampleGen, functions=source([Record("k", {"n": [1]}, split="test")]))


def test_an_empty_evaluation_split_is_said(execute):
    context = execute(ExampleGen, functions=source([Record("key1", {"n": [1]})]))
    assert context.outputs["examples"].splits == {"train": 1, "eval": 0}
    assert "'eval' is empty" in context.summary
    assert read(context.outputs["examples"], "eval") == []


def test_a_source_that_yields_something_else_is_an_error(execute):
    with pytest.raises(RuntimeError, match=r"Encode.*Record or BadRecord. Received: int"):
        execute(ExampleGen, functions=source([1]))


@pytest.mark.parametrize(
    "parameters",
    [
        {"splits": {}},
        {"splits": {"a/b": 1}},
        {"splits": {"train": 0}},
        {"shards": 0},
        {"max_bad_fraction": 1.5},
        {"shard": 1},
    ],
)
def test_wrong_parameters_are_refused(execute, parameters):
    with pytest.raises(ValueError, match="ExampleGen"):
        execute(ExampleGen, functions=source([]), **parameters)
