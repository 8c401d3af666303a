"""ExampleValidator: planted faults are found and named, honest data passes."""

import json
import random

import pytest
from methodical.components.example_validator.component import ExampleValidator
from methodical.components.schema_gen.component import SchemaGen
from methodical.components.statistics_gen.component import StatisticsGen
from tensorflow_metadata.proto.v0 import anomalies_pb2


def honest(count, seed):
    generator = random.Random(seed)
    places = ["kitchen", "garden", "office", "hallway"]
    return [
        {
            "answer": [generator.choice(places)],
            "label": [generator.randrange(5)],
            "length": [int(generator.expovariate(0.2))],
            "name": [f"name {generator.randrange(10**6)}"],
            "score": [generator.gauss(0, 1)],
            "story": [f"s{generator.randrange(50)}"] * generator.randint(1, 12),
            "weights": [0.5, 0.5],
            **({"hint": ["h"]} if generator.random() < 0.1 else {}),
        }
        for _ in range(count)
    ]


@pytest.fixture
def validate(execute, write_examples):
    def run(splits, shards=2, **parameters):
        examples = write_examples(splits, shards=shards)
        statistics = execute(StatisticsGen, {"examples": examples}, folder="statistics").outputs
        schema = execute(SchemaGen, statistics, folder="schema").outputs
        return execute(
            ExampleValidator,
            {**statistics, **schema, "examples": examples},
            folder="anomalies",
            **parameters,
        )

    return run


def anomalies_of(context, split):
    with open(context.outputs["anomalies"].path(f"Split-{split}", "SchemaDiff.pb"), "rb") as reader:
        return anomalies_pb2.Anomalies.FromString(reader.read())


def kinds_of(context, split):
    return {
        name: {anomalies_pb2.AnomalyInfo.Type.Name(reason.type) for reason in info.reason}
        for name, info in anomalies_of(context, split).anomaly_info.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_honest_data_has_no_anomalies(validate, seed):
    context = validate(
        {"train": honest(900, seed), "eval": honest(100, 100 + seed), "test": honest(5, 200 + seed)}
    )
    assert kinds_of(context, "train") == kinds_of(context, "eval") == {}
    assert kinds_of(context, "test") == {}
    assert context.stop is None
    assert context.summary == "0 anomalies"
    assert context.counters == {"anomalies": 0}
    assert context.outputs["anomalies"].properties["anomalies"] == 0
    assert len(anomalies_of(context, "train").baseline.feature) == 8


FAULTS = [
    ({"answer": ["prison"]}, "answer", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "'prison'"),
    ({"answer": [b"\xff"]}, "answer", "ENUM_TYPE_INVALID_UTF8", "'\\\\xff'"),
    ({"label": [5]}, "label", "INT_TYPE_BIG_INT", "5"),
    ({"label": [-1]}, "label", "INT_TYPE_SMALL_INT", "-1"),
    ({"length": [-1]}, "length", "INT_TYPE_SMALL_INT", "-1"),
    ({"length": [10**6]}, "length", "INT_TYPE_BIG_INT", "1000000"),
    ({"label": ["x"]}, "label", "UNEXPECTED_DATA_TYPE", "'x'"),
    ({"score": [1]}, "score", "UNEXPECTED_DATA_TYPE", "1"),
    ({"score": [float("nan")]}, "score", "FLOAT_TYPE_HAS_NAN", "nan"),
    ({"score": [float("-inf")]}, "score", "FLOAT_TYPE_HAS_INF", "-inf"),
    ({"weights": [0.25]}, "weights", "FEATURE_TYPE_LOW_NUMBER_VALUES", "0.25"),
    ({"weights": [0.25] * 3}, "weights", "FEATURE_TYPE_HIGH_NUMBER_VALUES", "0.25, 0.25, 0.25"),
    ({"story": []}, "story", "FEATURE_TYPE_LOW_NUMBER_VALUES", "(no value)"),
    ({"answer": None}, "answer", "FEATURE_TYPE_LOW_FRACTION_PRESENT", "(no value)"),
    ({"extra": [1]}, "extra", "SCHEMA_NEW_COLUMN", "1"),
]


@pytest.mark.parametrize(("change", "feature", "kind", "value"), FAULTS)
def test_one_faulty_example_is_found_and_named(validate, change, feature, kind, value):
    faulty = honest(100, 1)
    faulty[41] = {name: v for name, v in {**faulty[41], **change}.items() if v is not None}
    context = validate({"train": honest(900, 0), "eval": faulty})
    assert kinds_of(context, "train") == {}
    found = kinds_of(context, "eval")
    assert set(found) == {feature}
    assert kind in found[feature]
    assert context.stop.kind == "bad_data"
    rows = context.outputs["anomalies"].read_json("examples.json")
    # Two shards take turns: example 41 is the 21st (index 20) of shard 1.
    assert {
        "split": "eval",
        "file": "examples-00001-of-00002.gz",
        "index": 20,
        "feature": feature,
        "anomaly": kind,
        "value": value,
    } in rows
    assert {(row["file"], row["index"]) for row in rows} == {("examples-00001-of-00002.gz", 20)}
    assert f"Split-eval/examples-00001-of-00002.gz, example 20: {value}" in context.stop.message
    assert "--set ExampleValidator.on_anomalies=warn" in context.stop.message


def test_a_missing_feature_and_several_reasons(validate):
    faulty = honest(100, 1)
    for example in faulty:
        del example["label"]
        example["weights"] = [float("nan")]
    context = validate({"train": honest(900, 0), "eval": faulty})
    assert kinds_of(context, "eval") == {
        "label": {"SCHEMA_MISSING_COLUMN"},
        "weights": {"FEATURE_TYPE_LOW_NUMBER_VALUES", "FLOAT_TYPE_HAS_NAN"},
    }
    info = anomalies_of(context, "eval").anomaly_info
    assert info["weights"].short_description == "Multiple errors"
    assert info["label"].path.step == ["label"]
    assert info["label"].severity == anomalies_pb2.AnomalyInfo.ERROR
    assert context.outputs["anomalies"].properties == {
        "anomalies": 3,
        "splits": {"train": 0, "eval": 3},
    }
    assert context.summary == "3 anomalies in eval 3"
    with open(context.outputs["anomalies"].path("examples.json")) as reader:
        rows = json.load(reader)
    # The first three of each.
    assert len(rows) == 9
    assert [row["index"] for row in rows if row["feature"] == "label"] == [0, 1, 2]


def test_a_fault_in_the_training_split_is_found(validate):
    train = honest(900, 0)
    train[10]["label"] = ["seven"]
    train[11]["score"] = [float("nan")]
    context = validate({"train": train, "eval": honest(100, 1)})
    assert kinds_of(context, "train") == {
        "label": {"UNEXPECTED_DATA_TYPE"},
        "score": {"FLOAT_TYPE_HAS_NAN"},
    }
    assert kinds_of(context, "eval") == {}


def test_warn_lets_the_run_go_on(validate):
    faulty = honest(100, 1)
    faulty[0]["answer"] = ["prison"]
    context = validate({"train": honest(900, 0), "eval": faulty}, on_anomalies="warn")
    assert context.stop is None
    assert context.summary == "1 anomaly in eval 1"
    assert len(context.outputs["anomalies"].read_json("examples.json")) == 1
    with pytest.raises(ValueError, match="'stop' or 'warn'"):
        validate({"train": honest(1, 0)}, on_anomalies="ignore")


def test_an_empty_split_is_said_and_no_anomaly(validate):
    context = validate({"train": honest(100, 0), "eval": []})
    assert context.stop is None
    assert context.summary == "0 anomalies; split 'eval' is empty"
    assert anomalies_of(context, "eval").data_missing
    assert not anomalies_of(context, "train").data_missing
