"""bAbI question answering with memory networks (Weston et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from ....components.base.parameters import HOW, Parameters
from ....components.data.babi.options import FilesOptions, TransformOptions
from ....components.data.babi.simulator.parameters import CrossOptions, SimulatorParameters
from ....components.data.babi.story import TASK_NAMES
from ....components.example_gen.component import SplitName
from ..method import Method, PaperFigure, Source

if TYPE_CHECKING:
    from ....components.base.transformed_data import TransformedData
    from ....components.exporter.serving_model import ServingModel
    from ....components.trainer.fit import Fit

ROUTER = "router"
JOINT = "joint"


_SPLITS = pydantic.Field(
    {"train": 1},
    min_length=1,
    description=(
        "weights of the hashed splits; the published training questions all train, and the test "
        "files are the split test; {'train': 9, 'eval': 1} keeps a tenth to choose the best epoch"
    ),
)


class SimulatedOptions(SimulatorParameters):
    """The simulator's parameters, and that all its training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class PublishedOptions(FilesOptions):
    """Which files are read, and that all their training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class CrossedOptions(CrossOptions):
    """How simulated and published questions are crossed; all training questions train."""

    splits: dict[SplitName, pydantic.PositiveInt] = _SPLITS


class TrainerOptions(Parameters):
    """The memory network, its extensions and its training; `workers` has a default of its own."""

    training: Literal["per_task", "joint"] = pydantic.Field(
        "per_task", description="one model a task, as the paper's table, or one for all tasks"
    )
    adaptive: bool = pydantic.Field(
        True, description="AM: the number of hops and of answer words is learnt"
    )
    ngrams: bool = pydantic.Field(True, description="NG: bags of n-grams beside bags of words")
    nonlinear: bool = pydantic.Field(True, description="NL: two-layer tanh matching")
    embedding_dim: int = pydantic.Field(100, ge=1, description="dimension of the embeddings")
    margin: float = pydantic.Field(0.5, gt=0, description="margin of the ranking losses")
    fact_dropout: float = pydantic.Field(
        0.3, ge=0, lt=1, description="dropout on what looks for the next supporting fact"
    )
    epochs: int = pydantic.Field(40, ge=1, description="passes over the training questions")
    batch_size: int = pydantic.Field(32, ge=1, description="questions a step")
    learning_rate: float = pydantic.Field(0.01, gt=0, description="of Adam, decayed to 0")
    workers: int = pydantic.Field(
        2,
        ge=1,
        description="tasks trained side by side: one small model does not fill two cores",
        json_schema_extra=HOW,
    )


def read_simulated(parameters: SimulatorParameters, data_dir: str | None) -> Any:
    """Source `simulated`."""
    from ....components.data.babi.transforms import Simulate

    return Simulate(parameters)


def read_files(parameters: FilesOptions, data_dir: str | None) -> Any:
    """Source `files`."""
    from ....components.data.babi.transforms import ReadFiles

    return ReadFiles(parameters, data_dir or "")


def read_crossed(parameters: CrossOptions, data_dir: str | None) -> Any:
    """Source `crossed`."""
    from ....components.data.babi.transforms import Cross

    return Cross(parameters, data_dir or "")


def analyze(parameters: TransformOptions) -> Any:
    """Learns the vocabulary."""
    from ....components.data.babi.transforms import Vocabulary

    return Vocabulary(parameters)


def transform(parameters: TransformOptions, assets: Mapping[str, Sequence[str]]) -> Any:
    """Vectorises stories."""
    from ....components.data.babi.transforms import Vectorize

    return Vectorize(parameters, assets)


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """One memory network a task and the router between them, or one network for all tasks."""
    from ....components.data.babi import parsing

    if parameters.training == JOINT:
        return [memory_network_fit(JOINT, None, parameters, data)]
    tasks = parsing.tasks_of(data, "train")
    members = [memory_network_fit(f"qa{task}", task, parameters, data) for task in tasks]
    return [*members, router_fit(parameters, data)]


def memory_network_fit(
    name: str, task: int | None, parameters: TrainerOptions, data: TransformedData
) -> Fit:
    """Returns the fit of one memory network, on one task or on all."""
    from ....components.data.babi import parsing
    from ....components.trainer.fit import Fit
    from ....models.memory_network import MemoryNetwork

    words, ngrams = len(data.asset("words")), len(data.asset("ngrams"))

    def build():
        import keras

        features, questions = parsing.features_and_count(data, "train", task)
        if not parameters.ngrams:
            features = [feature for feature in features if feature <= words]
        steps = parameters.epochs * math.ceil(questions / parameters.batch_size)
        model = MemoryNetwork(
            vocabulary_size=words + ngrams,
            words=words,
            features=features,
            embedding_dim=parameters.embedding_dim,
            adaptive=parameters.adaptive,
            nonlinear=parameters.nonlinear,
            margin=parameters.margin,
            fact_dropout=parameters.fact_dropout,
        )
        decay = keras.optimizers.schedules.CosineDecay(parameters.learning_rate, steps)
        # XLA on a CPU compiles once a bucket of story lengths, which costs more than it saves.
        model.compile(optimizer=keras.optimizers.Adam(decay), jit_compile=False)
        return model

    def batches(split, seed=None):
        found = parsing.batches(data, split, parameters.batch_size, task, seed)
        return found.map(parsing.model_inputs)

    has_eval = data.splits.get("eval", 0) > 0 and parsing.features_and_count(data, "eval", task)[1]
    return Fit(
        name=name,
        build=build,
        train=lambda: batches("train", seed=0),
        validation=(lambda: batches("eval")) if has_eval else None,
        epochs=parameters.epochs,
        monitor="val_loss" if has_eval else "loss",
    )


def router_fit(parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of the classifier that tells a question's task when a client does not."""
    import tensorflow as tf

    from ....components.data.babi import parsing
    from ....components.trainer.fit import Fit
    from ....models.memory_network import TaskRouter

    vocabulary_size = len(data.asset("words")) + len(data.asset("ngrams"))

    def build():
        import keras

        model = TaskRouter(vocabulary_size=vocabulary_size, tasks=len(TASK_NAMES))
        model.compile(
            optimizer=keras.optimizers.Adam(0.02),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )
        return model

    def labelled(parsed):
        inputs = {name: tf.cast(parsed[name], tf.int32) for name in ("story", "question")}
        return inputs, parsed["task"] - 1

    return Fit(
        name=ROUTER,
        build=build,
        train=lambda: parsing.batches(data, "train", 128, None, 0).map(labelled),
        epochs=5,
        monitor="loss",
    )


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row a question, with the story and the attention where the answer is wrong."""
    from . import evaluation

    yield from evaluation.rows(answering_models(models), models.get(ROUTER), data, split)


def serve(models: Mapping[str, Any], data: TransformedData, parameters: Any) -> ServingModel:
    """Signatures for plain stories, for serialized examples and for ids."""
    from . import serving

    return serving.serving_model(answering_models(models), models.get(ROUTER), data)


def answering_models(models: Mapping[str, Any]) -> dict[int, Any]:
    """Returns the memory networks by task; 0 is one for all tasks."""
    return {
        0 if name == JOINT else int(name.removeprefix("qa")): model
        for name, model in models.items()
        if name != ROUTER
    }


def column(parameters: Any) -> str:
    """Returns the paper's column that a run stands beside."""
    if parameters.training == JOINT:
        return "multitask"
    extensions = [
        short
        for short, used in (
            ("AM", parameters.adaptive),
            ("NG", parameters.ngrams),
            ("NL", parameters.nonlinear),
        )
        if used
    ]
    return "+".join(extensions) or "MemNN"


def sample(features: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns a raw example for the report."""
    from ....components.data.babi import examples

    return examples.sample(features)


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws wrong answers for the report."""
    from .figures import wrong_answers

    return wrong_answers(rows)


def layer_examples() -> Sequence[Any]:
    """Returns the layers, losses and models for the conformance suite."""
    from ....models.memory_network.examples import layer_examples as examples

    return examples()


COLUMNS = ("N-gram", "LSTM", "SVM", "MemNN", "AM", "AM+NG", "AM+NL", "AM+NG+NL", "multitask")
"""Columns of Table 3; `SVM` is the structured one with coreference and semantic roles."""

TABLE_3 = (
    (36, 50, 99, 100, 100, 100, 100, 100, 100),
    (2, 20, 74, 100, 100, 100, 100, 100, 100),
    (7, 20, 17, 20, 100, 99, 100, 100, 98),
    (50, 61, 98, 71, 69, 100, 73, 100, 80),
    (20, 70, 83, 83, 83, 86, 86, 98, 99),
    (49, 48, 99, 47, 52, 53, 100, 100, 100),
    (52, 49, 69, 68, 78, 86, 83, 85, 86),
    (40, 45, 70, 77, 90, 88, 94, 91, 93),
    (62, 64, 100, 65, 71, 63, 100, 100, 100),
    (45, 44, 99, 59, 57, 54, 97, 98, 98),
    (29, 72, 100, 100, 100, 100, 100, 100, 100),
    (9, 74, 96, 100, 100, 100, 100, 100, 100),
    (26, 94, 99, 100, 100, 100, 100, 100, 100),
    (19, 27, 99, 99, 100, 99, 100, 99, 99),
    (20, 21, 96, 74, 73, 100, 77, 100, 100),
    (43, 23, 24, 27, 100, 100, 100, 100, 94),
    (46, 51, 61, 54, 46, 49, 57, 65, 72),
    (52, 52, 62, 57, 50, 74, 54, 95, 93),
    (0, 8, 49, 0, 9, 3, 15, 36, 19),
    (76, 91, 95, 100, 100, 100, 100, 100, 100),
)
"""Weston et al. 2015, Table 3: test accuracy in %, 1,000 training questions a task."""

MEANS = (34, 49, 79, 75, 79, 83, 87, 93, 92)
"""The last row of Table 3."""

METHOD = Method(
    name="babi",
    title="bAbI question answering with memory networks",
    paper=(
        "Weston, Bordes, Chopra, Rush, van Merriënboer, Joulin, Mikolov 2015: Towards AI-Complete "
        "Question Answering: A Set of Prerequisite Toy Tasks, arXiv 1502.05698"
    ),
    sources={
        "simulated": Source(
            description="all 20 tasks written by the embedded simulator, any amount",
            read=read_simulated,
            options=SimulatedOptions,
        ),
        "files": Source(
            description="the published text files, a folder or .tar.xz/.tar.gz (en, hn, shuffled)",
            read=read_files,
            options=PublishedOptions,
            needs_data_dir=True,
        ),
        "crossed": Source(
            description="trains on simulated or published questions and tests on both (train_on)",
            read=read_crossed,
            options=CrossedOptions,
            needs_data_dir=True,
        ),
    },
    analyze=analyze,
    transform=transform,
    transform_options=TransformOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    evaluate=evaluate,
    metrics={
        "accuracy": "share of questions with the right answer, all its words in order",
        "supporting_facts": "share of questions with just the right supporting facts",
        "routed_accuracy": "accuracy when the task is not told, as for a client",
    },
    slices=("task",),
    serve=serve,
    paper_figures=(
        *(
            PaperFigure("accuracy", value / 100, name, {"task": str(task)})
            for task, row in enumerate(TABLE_3, 1)
            for name, value in zip(COLUMNS, row, strict=True)
        ),
        *(
            PaperFigure("accuracy", value / 100, name, {}, "mean over the tasks")
            for name, value in zip(COLUMNS, MEANS, strict=True)
        ),
    ),
    column=column,
    samples=sample,
    figures=figures,
    predict_inputs={
        "story": "the story: sentences that end with a full stop or a line",
        "question": "the question",
    },
    layer_examples=layer_examples,
    tiny={
        "example_gen.tasks": [1, 4],
        "example_gen.questions": 60,
        "example_gen.test_questions": 40,
        "trainer.epochs": 2,
        "trainer.embedding_dim": 8,
        "trainer.adaptive": False,
        "trainer.workers": 1,
    },
)
