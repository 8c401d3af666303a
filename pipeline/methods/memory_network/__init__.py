"""bAbI question answering with memory networks (Weston et al. 2015)."""

from ....components.base.lazy import Lazy
from ....components.data.babi.options import TransformOptions
from ....components.evaluator.metric import Metric
from ..method import DataKind, Method, Source
from .options import CrossedOptions, PublishedOptions, SimulatedOptions, TrainerOptions

_BABI = "methodical.components.data.babi"


def _transform(name: str) -> Lazy:
    return Lazy(f"{_BABI}.transforms:{name}")


DATA = DataKind(
    analyze=_transform("Vocabulary"),
    transform=_transform("Vectorize"),
    prepared=Lazy(f"{_BABI}.stories:BabiStories"),
    sample=Lazy(f"{_BABI}.examples:sample"),
)

METHOD = Method(
    name="babi",
    title="bAbI question answering with memory networks",
    paper=(
        "Weston, Bordes, Chopra, Rush, van Merriënboer, Joulin, Mikolov 2015: Towards AI-Complete "
        "Question Answering: A Set of Prerequisite Toy Tasks, arXiv 1502.05698"
    ),
    package=__name__,
    data=DATA,
    sources={
        "simulated": Source(
            description="all 20 tasks written by the embedded simulator, any amount",
            read=_transform("Simulate"),
            options=SimulatedOptions,
        ),
        "files": Source(
            description="the published text files, a folder or .tar.xz/.tar.gz (en, hn, shuffled)",
            read=_transform("ReadFiles"),
            options=PublishedOptions,
            needs_data_dir=True,
        ),
        "crossed": Source(
            description="trains on simulated or published questions and tests on both (train_on)",
            read=_transform("Cross"),
            options=CrossedOptions,
            needs_data_dir=True,
        ),
    },
    transform_options=TransformOptions,
    trainer_options=TrainerOptions,
    metrics=(
        Metric("accuracy", "share of questions with the right answer, all its words in order"),
        Metric("supporting_facts", "share of questions with just the right supporting facts"),
        Metric("routed_accuracy", "accuracy when the task is not told, as for a client"),
    ),
    slices=("task",),
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
