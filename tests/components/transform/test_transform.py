"""Transform: assets, order, dead letters."""

import gzip
import json

import apache_beam as beam
import pytest
from methodical.components.base.artifacts import Schema
from methodical.components.base.errors import BadDataError
from methodical.components.base.parameters import Parameters
from methodical.components.io import example_proto, tfrecord
from methodical.components.io.records import BadRecordError
from methodical.components.transform.component import Transform


class Options(Parameters):
    offset: int = 0
    bad: int = -1


class Vocabulary(beam.PTransform):
    def expand(self, examples):
        return (
            examples
            | "Words" >> beam.FlatMap(lambda features: [("vocabulary", features["word"][0])])
            | "Distinct" >> beam.Distinct()
            | "Group" >> beam.GroupByKey()
            | "Lines"
            >> beam.MapTuple(lambda name, words: (name, sorted(w.decode() for w in words)))
        )


def analyze(parameters):
    return Vocabulary()


def transform(parameters, assets):
    ids = {word.encode(): place for place, word in enumerate(assets["vocabulary"], 1)}

    def apply(features):
        if features["n"][0] == parameters.bad:
            raise BadRecordError(f"n must be good. Received: {features['n'][0]}")
        return {
            "id": [ids.get(features["word"][0], 0) + parameters.offset],
            "n": features["n"],
            "nothing": [],
        }

    return apply


FUNCTIONS = {"analyze": analyze, "transform": transform}


def examples_of(count, word="w"):
    return [{"n": [index], "word": [f"{word}{index % 5}"]} for index in range(count)]


def read(examples, split):
    return [
        [example_proto.decode(record) for record in tfrecord.read_records(path)]
        for path in examples.files(split)
    ]


@pytest.fixture
def inputs(write_examples, tmp_path):
    examples = write_examples({"train": examples_of(100), "eval": examples_of(20, "x")}, shards=3)
    return {"examples": examples, "schema": Schema(str(tmp_path / "schema"))}


def test_assets_are_learnt_from_the_training_split_and_applied_to_all(execute, inputs):
    context = execute(Transform, inputs, FUNCTIONS, options=(Options,), offset=10)
    graph = context.outputs["transform_graph"]
    assert graph.asset("vocabulary") == ["w0", "w1", "w2", "w3", "w4"]
    assert graph.properties == {"assets": {"vocabulary": 5}}
    transformed = context.outputs["transformed_examples"]
    assert transformed.splits == {"train": 100, "eval": 20}
    for split, expected in (("train", lambda n: 11 + n % 5), ("eval", lambda n: 10)):
        for shard in read(transformed, split):
            for features in shard:
                assert features["id"] == [expected(features["n"][0])]
                assert features["nothing"] == []
    assert context.summary == "vocabulary 5; 120 examples, 0 bad"
    assert context.counters == {"examples": 120, "bad_records": 0}


def test_shards_and_their_order_are_those_of_the_raw_examples(execute, inputs):
    context = execute(Transform, inputs, FUNCTIONS, options=(Options,))
    transformed = context.outputs["transformed_examples"]
    for split in ("train", "eval"):
        raw = [[f["n"] for f in shard] for shard in read(inputs["examples"], split)]
        assert len(raw) == 3
        assert [[f["n"] for f in shard] for shard in read(transformed, split)] == raw
        names = [path.rpartition("/")[2] for path in inputs["examples"].files(split)]
        assert [path.rpartition("/")[2] for path in transformed.files(split)] == names


def test_the_same_twice_gives_the_same_files(execute, inputs, contents):
    both = []
    for folder in "ab":
        context = execute(Transform, inputs, FUNCTIONS, folder=folder, options=(Options,))
        both.append(contents(context.outputs["transformed_examples"].uri))
    assert both[0] == both[1]
    assert len(both[0]) == 7


def test_an_example_that_cannot_be_used_is_a_dead_letter(execute, inputs):
    context = execute(Transform, inputs, FUNCTIONS, options=(Options,), bad=7, max_bad_fraction=0.1)
    transformed = context.outputs["transformed_examples"]
    assert transformed.splits == {"train": 99, "eval": 19}
    with open(transformed.path("dead_letters.jsonl")) as reader:
        rows = [json.loads(line) for line in reader]
    # Example 7 is the third (index 2) of shard 1 = examples 1, 4, 7, ...
    assert [(row["split"], row["index"]) for row in rows] == [("eval", 2), ("train", 2)]
    assert rows[1]["source"] == "Split-train/examples-00001-of-00003.gz"
    assert rows[1]["position"] == "example 2"
    assert rows[1]["reason"] == "n must be good. Received: 7"
    kept = [features["n"][0] for features in read(transformed, "train")[1]]
    assert kept == [n for n in range(1, 100, 3) if n != 7]
    assert context.counters == {"examples": 118, "bad_records": 2}


def test_too_many_dropped_examples_stop_the_stage(execute, inputs):
    with pytest.raises(BadDataError, match=r"2 of 120 records.*\n.*example 2: n must be good"):
        execute(Transform, inputs, FUNCTIONS, options=(Options,), bad=7)
    with open(execute.last.outputs["transformed_examples"].path("dead_letters.jsonl")) as reader:
        assert len(reader.readlines()) == 2


def test_an_empty_training_split_stops_the_stage(execute, write_examples, inputs):
    inputs["examples"] = write_examples({"train": [], "eval": examples_of(3)}, folder="empty")
    with pytest.raises(BadDataError, match="'train' to learn from"):
        execute(Transform, inputs, FUNCTIONS, options=(Options,))


def test_a_transform_that_drops_all_training_examples_stops_the_stage(
    execute, write_examples, inputs
):
    inputs["examples"] = write_examples(
        {"train": examples_of(1), "eval": examples_of(5)[1:]}, folder="one"
    )
    with pytest.raises(BadDataError, match="keep at least one"):
        execute(Transform, inputs, FUNCTIONS, options=(Options,), bad=0, max_bad_fraction=0.5)


def test_an_error_names_the_example(execute, inputs):
    def broken(parameters, assets):
        return lambda features: features["missing"]

    with pytest.raises(RuntimeError, match=r"KeyError: 'missing', from example 0 of .*Split-"):
        execute(Transform, inputs, {"analyze": analyze, "transform": broken}, options=(Options,))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("a", ["x\ny"])], r"'x\\ny'"),
        ([("a", ["x\r"])], r"'x\\r'"),
        ([("a", [1])], "Received: 1"),
        ([("../a", ["x"])], "'../a'"),
        ([("a", ["x"]), ("a", ["y"])], "'a' 2 times"),
    ],
)
def test_assets_that_cannot_be_stored_are_errors(execute, inputs, pairs, message):
    def analyze_wrongly(parameters):
        return beam.ptransform_fn(
            lambda examples: examples.pipeline | "Pairs" >> beam.Create(pairs)
        )()

    with pytest.raises(RuntimeError, match=message):
        execute(
            Transform,
            inputs,
            {"analyze": analyze_wrongly, "transform": transform},
            options=(Options,),
        )


def test_no_assets_and_empty_lines(execute, inputs):
    def analyze_other(pairs):
        def analyze(parameters):
            return beam.ptransform_fn(
                lambda examples: examples.pipeline | "Pairs" >> beam.Create(pairs)
            )()

        return analyze

    def same(parameters, assets):
        return lambda features: {"n": features["n"], "lines": [len(assets.get("a", []))]}

    context = execute(
        Transform, inputs, {"analyze": analyze_other([("a", ["", " é", ""])]), "transform": same}
    )
    assert context.outputs["transform_graph"].asset("a") == ["", " é", ""]
    assert read(context.outputs["transformed_examples"], "eval")[0][0]["lines"] == [3]
    context = execute(Transform, inputs, {"analyze": analyze_other([]), "transform": same})
    assert context.summary.startswith("no assets")


def test_the_callable_is_built_once_a_worker(execute, inputs, tmp_path):
    calls = tmp_path / "calls"

    def counted(parameters, assets):
        with open(calls, "a") as writer:
            writer.write("x")
        return lambda features: {"n": features["n"]}

    execute(Transform, inputs, {"analyze": analyze, "transform": counted}, options=(Options,))
    assert calls.read_text() == "x"


def test_a_changed_file_is_noticed(tmp_path):
    path = str(tmp_path / "a.gz")
    assert tfrecord.write_records(path, [b"a" * 1000, b"b"]) == 2
    assert list(tfrecord.read_records(path)) == [b"a" * 1000, b"b"]
    content = (tmp_path / "a.gz").read_bytes()
    for changed in (content[:-12], content[:20] + b"\0\0" + content[22:], b"x" + content):
        (tmp_path / "a.gz").write_bytes(changed)
        with pytest.raises(ValueError, match=r"unaltered. Received: .*a.gz, record \d"):
            list(tfrecord.read_records(path))
    raw = gzip.decompress(content)
    for place in (3, 500):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        (tmp_path / "a.gz").write_bytes(gzip.compress(changed))
        with pytest.raises(ValueError, match=r"record 0: .*checksum"):
            list(tfrecord.read_records(path))


def test_progress_ends_near_one(execute, write_examples, inputs):
    inputs["examples"] = write_examples({"train": examples_of(2000)}, folder="many")
    seen = []
    execute(
        Transform,
        inputs,
        FUNCTIONS,
        options=(Options,),
        progress=lambda fraction, text: seen.append((fraction, text)),
    )
    assert seen[-1] == (1.0, "4,000 of 4,000 examples read")
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
