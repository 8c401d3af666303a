"""Runner, flags, errors, counters; every stage on other engines and from serialized pipelines."""

import random
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from methodical.components.base.artifacts import ExampleStatistics
from methodical.components.base.errors import BadDataError
from methodical.components.beam import sorted_runs
from methodical.components.beam.options import DASK_RUNNER, runner_and_options
from methodical.components.example_gen.component import ExampleGen
from methodical.components.example_validator.component import ExampleValidator
from methodical.components.io.records import BadRecord, Record
from methodical.components.schema_gen.component import SchemaGen
from methodical.components.statistics_gen.component import StatisticsGen
from methodical.components.transform.component import Transform


def records():
    found = [
        Record(f"k{index}", {"n": [index], "word": [f"w{index % 4}"]}, position=f"line {index}")
        for index in range(400)
    ]
    # A fault that the validator finds in the other split.
    found += [
        Record(f"t{index}", {"n": [index], "word": ["odd"]}, split="test") for index in range(30)
    ]
    return [*found, BadRecord("a.txt", "line 3", "bad")]


def read(parameters, data_dir):
    return beam.Create(records())


def words(examples):
    return (
        examples
        | "Words" >> beam.Map(lambda features: ("vocabulary", features["word"][0].decode()))
        | "Group" >> beam.GroupByKey()
        | "Lines" >> beam.MapTuple(lambda name, found: (name, sorted(set(found))))
    )


def analyze(parameters):
    return beam.ptransform_fn(words)()


def transform(parameters, assets):
    return lambda features: {"n": features["n"], "size": [len(assets["vocabulary"])]}


def all_stages(execute, folder, *flags):
    """Runs all five stages, with anomalies, and returns their contexts."""

    def stage(component, inputs=None, functions=None, **parameters):
        return execute(
            component,
            inputs,
            functions,
            folder=f"{folder}/{component.__name__}",
            beam_arguments=flags,
            **parameters,
        )

    generated = stage(ExampleGen, functions={"read": read}, shards=2)
    examples = generated.outputs["examples"]
    statistics = stage(StatisticsGen, {"examples": examples}).outputs["statistics"]
    schema = stage(SchemaGen, {"statistics": statistics}).outputs["schema"]
    inputs = {"examples": examples, "schema": schema}
    validated = stage(ExampleValidator, {**inputs, "statistics": statistics}, on_anomalies="warn")
    transformed = stage(Transform, inputs, {"analyze": analyze, "transform": transform})
    assert examples.splits["test"] == 30
    assert isinstance(statistics, ExampleStatistics)
    assert len(validated.outputs["anomalies"].read_json("examples.json")) == 3
    assert transformed.outputs["transform_graph"].asset("vocabulary") == ["w0", "w1", "w2", "w3"]
    return generated, transformed


@pytest.fixture
def local(execute, contents, tmp_path):
    """What the default runner gives: all files."""
    all_stages(execute, "local")
    return contents(tmp_path / "local")


@pytest.mark.slow
def test_several_worker_processes_give_the_same_files(execute, local, contents, tmp_path):
    generated, _ = all_stages(
        execute, "other", "--direct_num_workers=2", "--direct_running_mode=multi_processing"
    )
    assert generated.counters == {"examples": 430, "bad_records": 1}
    assert contents(tmp_path / "other") == local


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_files(execute, local, contents, tmp_path):
    pytest.importorskip("dask", reason="no Dask: pip install 'methodical[dask]'")
    from dask import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        generated, transformed = all_stages(
            execute,
            "other",
            f"--runner={DASK_RUNNER}",
            f"--dask_client_address={cluster.scheduler_address}",
            "--dask_npartitions=3",
        )
    assert generated.counters == {"examples": 430, "bad_records": 1}
    assert transformed.counters == {"examples": 430, "bad_records": 0}
    assert contents(tmp_path / "other") == local


def test_every_stage_runs_from_its_serialized_pipeline(
    execute, local, contents, tmp_path, monkeypatch
):
    run = beam.Pipeline.run
    labels = []

    def run_rebuilt(self, *arguments, **keywords):
        proto = self.to_runner_api()
        labels.append(sorted(t.unique_name for t in proto.components.transforms.values()))
        rebuilt = beam.Pipeline.from_runner_api(
            type(proto).FromString(proto.SerializeToString()), self.runner, self._options
        )
        return run(rebuilt, *arguments, **keywords)

    monkeypatch.setattr(beam.Pipeline, "run", run_rebuilt)
    all_stages(execute, "other")
    assert contents(tmp_path / "other") == local
    first, labels[:] = list(labels), []
    all_stages(execute, "again")
    assert len(first) == 4
    assert labels == first
    assert "WriteExamples/GroupByShard" in first[0]


def test_the_runner_is_named_and_flags_go_through():
    runner, options = runner_and_options(())
    assert runner == "FnApiRunner"
    runner, options = runner_and_options(
        ("--runner=DataflowRunner", "--project", "p", "--direct_num_workers=3")
    )
    assert runner == "DataflowRunner"
    assert options.get_all_options()["project"] == "p"
    assert options.get_all_options()["direct_num_workers"] == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--direct_num_worker=2",), "--direct_num_worker; did you mean --direct_num_workers?"),
        (("--no_such_thing", "x"), "--no_such_thing"),
        (("--direct_num_workers=two",), "invalid int value: 'two'"),
        (("stray",), "'stray'"),
        (("--runner=FnApiRunner", "stray"), "'stray'"),
        (("--project", "p", "stray"), "'stray'"),
    ],
)
def test_unknown_flags_are_errors(execute, flags, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        execute(ExampleGen, functions={"read": read}, beam_arguments=flags)


class Count(beam.DoFn):
    def process(self, record):
        Metrics.counter("source", "stories").inc()
        yield record


class Fail(beam.DoFn):
    def __init__(self, error):
        super().__init__()
        self._error = error

    def process(self, record):
        raise self._error


def source(do_fn):
    def read_through(parameters, data_dir):
        def expand(pipeline):
            return pipeline | "Records" >> beam.Create(records()) | "Step" >> beam.ParDo(do_fn)

        return beam.ptransform_fn(expand)()

    return {"read": read_through}


def test_counters_of_the_source_are_reported(execute):
    context = execute(ExampleGen, functions=source(Count()))
    assert context.counters == {"stories": 431, "examples": 430, "bad_records": 1}


def test_errors_of_a_step_are_short_and_keep_their_kind(execute):
    with pytest.raises(BadDataError, match=r"^the archive climbs out$"):
        execute(ExampleGen, functions=source(Fail(BadDataError("the archive climbs out"))))
    with pytest.raises(RuntimeError) as raised:
        execute(ExampleGen, functions=source(Fail(OSError("disk gone"))))
    assert str(raised.value) == "The Beam pipeline failed in step 'Read/Step': OSError: disk gone"
    assert raised.value.__cause__ is not None


def test_ctrl_c_inside_a_step_is_an_interrupt(execute):
    with pytest.raises(KeyboardInterrupt):
        execute(ExampleGen, functions=source(Fail(KeyboardInterrupt())))


def test_errors_of_another_process_are_short_too(execute):
    flags = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    with pytest.raises(BadDataError, match=r"^the archive climbs out\s*$"):
        execute(
            ExampleGen,
            functions=source(Fail(BadDataError("the archive climbs out"))),
            beam_arguments=flags,
        )


def test_nothing_is_left_beside_the_outputs(execute, contents, monkeypatch):
    monkeypatch.setattr(sorted_runs, "_SPILLED", 1)
    context = execute(ExampleGen, functions={"read": read})
    assert list(contents(context.outputs["examples"].uri)) == [
        "Split-eval/examples-00000-of-00001.gz",
        "Split-test/examples-00000-of-00001.gz",
        "Split-train/examples-00000-of-00001.gz",
        "dead_letters.jsonl",
    ]


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_runs_merge_in_order_whatever_their_size_and_place(tmp_path, size):
    pairs = [(b"%06d" % index, bytes([index % 251]) * (size // 100)) for index in range(200)]
    pairs.append((b"000100", b""))
    runs = [sorted_runs.pack(pairs[start::3]) for start in range(3)]
    assert list(sorted_runs.merge(runs)) == sorted(pairs)
    for _, blob in runs:
        assert isinstance(blob, bytes)
    generator = random.Random(0)
    noise = [(b"%06d" % index, generator.randbytes(size // 100)) for index in range(200)]
    spilled = sorted_runs.spill(sorted_runs.pack(noise), str(tmp_path / "runs"))
    assert isinstance(spilled[1], str) == (size > 1000)
    assert list(sorted_runs.unpack(spilled)) == noise


def test_numbers_in_sort_keys_compare_by_value():
    texts = ["line 10", "line 9", "a2b10", "a2b9", "line 100"]
    assert sorted(texts, key=sorted_runs.natural_key) == [
        "a2b9",
        "a2b10",
        "line 9",
        "line 10",
        "line 100",
    ]


def test_importing_the_components_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from methodical.components.beam import dead_letters, options, run\n"
        "from methodical.components.example_gen import component\n"
        "from methodical.components.example_validator import component\n"
        "from methodical.components.schema_gen import component\n"
        "from methodical.components.statistics_gen import component\n"
        "from methodical.components.transform import component\n"
        "heavy = {'apache_beam', 'tensorflow', 'numpy', 'google.protobuf', 'keras'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
