"""Which stages an edit of the package's source runs again.

Each row edits a file and names the stages whose own code it changes. What depends on these runs
again too, because its inputs change.
"""

import pathlib
import re
import shutil

import pytest
from methodical.pipeline import methods
from methodical.pipeline.cache import fingerprint
from methodical.pipeline.cache.source_code import ROOT, SourceCode
from methodical.pipeline.methods.image_classification.sources import SOURCES
from methodical.pipeline.run.build import build_pipeline

LINE = "ADDED = 1\n"


def everywhere(*stages):
    """The stages in the pipelines of all methods."""
    return of(methods.names(), *stages)


def of(names, *stages):
    """The stages in the pipelines of some methods."""
    return {(name, stage) for name in names for stage in stages}


NOTHING = set()
BATCH_NORM = ("batch-norm", "batch-norm-inception")
IMAGE_CLASSIFICATION = [
    name
    for name in methods.names()
    if methods.find(name).sources is SOURCES and "class" in methods.find(name).slices
]


def row(path, stages, old=None, new=None, marks=()):
    """A row of the table.

    Args:
        path: the file; a line of code is added to it unless `old` is given.
        stages: pairs of a method and a stage.
        old: a pattern, whose first match is replaced.
        new: the replacement.
        marks: pytest's.
    """
    what = f"{path}: {old}" if old else path
    return pytest.param(path, stages, old, new, marks=marks, id=what)


EDITS = [
    # Models: the Trainer builds them, the Evaluator and the Exporter load what it saved.
    row("models/memory_network/losses.py", of(["babi"], "Trainer")),
    row("models/facenet/triplets/triplet_loss.py", of(["facenet"], "Trainer")),
    row("models/facenet/measures/clustering.py", of(["facenet"], "Evaluator")),
    row("models/facenet/networks/flops.py", NOTHING),
    row("models/factorization/nmf.py", NOTHING),
    row(
        "models/layers/local_response_normalization.py",
        of(["batch-norm-inception"], "Trainer"),
    ),
    row("models/batch_norm/folding/plan.py", of(BATCH_NORM, "Exporter")),
    row("models/memory_network/examples.py", NOTHING),
    # A package's `__init__` that exports names.
    row(
        "models/facenet/__init__.py",
        NOTHING,
        r"(from \.triplets\.triplet_loss .*\n)(from .*\n)",
        r"\2\1",
    ),
    row("models/batch_norm/__init__.py", NOTHING),
    row("components/io/__init__.py", NOTHING),
    # No code.
    row("models/backend.py", NOTHING, r'\A"""', '"""Changed: '),
    row(
        "components/trainer/component.py", NOTHING, r"(\n +def execute\(.*\n)", r"\1        # No.\n"
    ),
    row(
        "components/io/tfrecord.py", NOTHING, r'(\ndef \w+\([^)]*\) -> [^:]+:\n +""")', r"\1Now it "
    ),
    row("components/statistics_gen/statistics.py", NOTHING, r"\n\n\n", "\n\n\n\n"),
    # Texts for people.
    row("components/base/suggestions.py", NOTHING, r"cutoff=0\.\d+", "cutoff=0.9"),
    row("components/base/component.py", NOTHING),
    row("components/data/babi/options.py", NOTHING, r'description="', 'description="changed: '),
    row(
        "pipeline/methods/memory_network/__init__.py",
        NOTHING,
        r'title="',
        'title="A ',
    ),
    row(
        "pipeline/methods/memory_network/__init__.py",
        NOTHING,
        "share of questions with the right answer",
        "part of the questions with the right answer",
    ),
    # Drawing, whose place is the report. While a stage still draws, its artifact keeps the old
    # figures until it runs again.
    row("pipeline/charts/lines.py", NOTHING),
    row("pipeline/charts/svg.py", NOTHING),
    row("pipeline/methods/facenet/figures.py", NOTHING),
    row("pipeline/methods/factorization/ratings/figures.py", NOTHING),
    row("pipeline/report/evaluation.py", NOTHING),
    # Components.
    row("components/example_gen/component.py", everywhere("ExampleGen")),
    row("components/beam/shards.py", everywhere("ExampleGen", "Transform")),
    row(
        "components/io/tfrecord.py",
        everywhere("ExampleGen", "StatisticsGen", "ExampleValidator", "Transform"),
    ),
    # The schema and the anomalies are made from statistics, by the module that writes them.
    row(
        "components/statistics_gen/sketches.py",
        everywhere("StatisticsGen", "SchemaGen", "ExampleValidator"),
    ),
    row("components/example_validator/schema_checks.py", everywhere("ExampleValidator")),
    row("components/trainer/checkpoints.py", everywhere("Trainer")),
    row("components/evaluator/sliced_means.py", everywhere("Evaluator")),
    row("components/exporter/prediction_log.py", everywhere("Exporter", "InfraValidator")),
    row("components/infra_validator/validation_process.py", everywhere("InfraValidator")),
    row("components/pusher/versions.py", everywhere("Pusher")),
    # Data.
    row(
        "components/data/babi/reader.py",
        of(["babi"], "ExampleGen", "Transform"),
    ),
    row(
        "components/data/faces/simulator/drawing.py",
        of(["facenet"], "ExampleGen"),
    ),
    row(
        "components/data/labelled_images/augmentation.py",
        of(["batch-norm-inception"], "Trainer"),
    ),
    # Methods.
    row("pipeline/methods/memory_network/serving.py", of(["babi"], "Exporter")),
    row(
        "pipeline/methods/factorization/ratings/evaluation.py",
        of(["nmf"], "Evaluator"),
    ),
    row("pipeline/methods/memory_network/training.py", of(["babi"], "Trainer")),
    row("pipeline/methods/memory_network/evaluation.py", of(["babi"], "Evaluator")),
    row("pipeline/methods/facenet/training.py", of(["facenet"], "Trainer")),
    row("pipeline/methods/facenet/evaluation.py", of(["facenet"], "Evaluator")),
    row("pipeline/methods/facenet/serving.py", of(["facenet"], "Exporter")),
    row("pipeline/methods/factorization/ratings/training.py", of(["nmf"], "Trainer")),
    row("pipeline/methods/factorization/parts/training.py", of(["nmf-parts"], "Trainer")),
    row("pipeline/methods/factorization/parts/plotted.py", of(["nmf-parts"], "Evaluator")),
    row("pipeline/methods/batch_norm/sigmoid/training.py", of(["batch-norm"], "Trainer")),
    row(
        "pipeline/methods/batch_norm/inception/training.py", of(["batch-norm-inception"], "Trainer")
    ),
    row("pipeline/methods/batch_norm/inception/paper.py", NOTHING),
    row("pipeline/methods/facenet/options.py", NOTHING),
    row("pipeline/methods/facenet/options.py", NOTHING, r'description="', 'description="changed: '),
    row("pipeline/methods/factorization/ratings/metrics.py", of(["nmf"], "Evaluator")),
    row("pipeline/methods/factorization/beam/row_blocks.py", NOTHING),
    row(
        "pipeline/methods/image_classification/evaluation.py",
        of(IMAGE_CLASSIFICATION, "Evaluator"),
    ),
    row("pipeline/methods/__init__.py", NOTHING),
    # What runs the stages.
    row("pipeline/run/runner.py", NOTHING),
    row("pipeline/run/executor.py", NOTHING),
    row("pipeline/cache/plan.py", NOTHING),
    row("pipeline/metadata/metadata_store.py", NOTHING),
    row("pipeline/cli/main.py", NOTHING),
    row("__init__.py", NOTHING, r'__version__ = "', '__version__ = "9'),
]


@pytest.fixture(scope="module")
def pipelines():
    return {name: build_pipeline(methods.find(name)) for name in methods.names()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package's source."""
    copy = tmp_path_factory.mktemp("source")
    for folder in ("models", "components", "pipeline"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "__init__.py", copy)
    return copy


def keys(pipelines, root):
    """The hashes of what each stage depends on before anything runs."""
    code = SourceCode(root)
    return {
        (name, component.name): fingerprint.key(
            fingerprint.static_part(component, None, None, code)
        )
        for name, pipeline in pipelines.items()
        for component in pipeline.components
    }


@pytest.fixture(scope="module")
def before(pipelines, tree):
    return keys(pipelines, tree)


@pytest.mark.parametrize(("path", "stages", "old", "new"), EDITS)
def test_an_edit_runs_again_what_uses_the_file(pipelines, tree, before, path, stages, old, new):
    file = pathlib.Path(tree, path)
    text = file.read_text()
    if old is None:
        edited = text + LINE
    else:
        edited, count = re.subn(old, new, text, count=1)
        if not count:
            raise LookupError(f"{path} holds no {old!r}: choose another edit")
    file.write_text(edited)
    try:
        after = keys(pipelines, tree)
    finally:
        file.write_text(text)
    assert {stage for stage in after if after[stage] != before[stage]} == stages
