"""A recommender by non-negative matrix factorization of the ratings that there are."""

from .....components.base.lazy import Lazy
from .....components.data.ratings.options import (
    ExporterOptions,
    MovieLensOptions,
    SimulatorOptions,
    TextOptions,
    TfdsOptions,
    TransformOptions,
)
from ...method import DataKind, Method, Source
from .metrics import METRICS
from .options import EvaluatedSplit, TrainerOptions

_RATINGS = "methodical.components.data.ratings"


def _transform(name: str) -> Lazy:
    return Lazy(f"{_RATINGS}.transforms:{name}")


DATA = DataKind(
    analyze=_transform("Analyze"),
    transform=_transform("ToIndices"),
    prepared=Lazy(f"{_RATINGS}.ratings:RatingExamples"),
    sample=Lazy(f"{_RATINGS}.examples:sample"),
)

METHOD = Method(
    name="nmf",
    title="Recommendations by non-negative matrix factorization",
    paper="Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13",
    package=__name__,
    data=DATA,
    sources={
        "simulated": Source(
            description="ratings of a low-rank model with known factors",
            read=_transform("Simulate"),
            options=SimulatorOptions,
        ),
        "movielens": Source(
            description="MovieLens 100k: a folder or archive with u.data and its folds",
            read=_transform("ReadMovieLens"),
            options=MovieLensOptions,
            needs_data_dir=True,
        ),
        "text": Source(
            description="CSV or TSV with columns user, item, rating and maybe a timestamp",
            read=_transform("ReadText"),
            options=TextOptions,
            needs_data_dir=True,
        ),
        "tfds": Source(
            description="a prepared tensorflow-datasets data set (movielens/100k-ratings)",
            read=_transform("ReadTfds"),
            options=TfdsOptions,
            needs_data_dir=True,
        ),
    },
    metrics=METRICS,
    slices=("fold",),
    evaluated_on="test ratings of the folds",
    transform_options=TransformOptions,
    trainer_options=TrainerOptions,
    evaluator_options=EvaluatedSplit,
    exporter_options=ExporterOptions,
    tiny={
        "example_gen.users": 60,
        "example_gen.items": 40,
        "example_gen.ratings": 1200,
        "example_gen.folds": 2,
        "trainer.rank": 3,
        "trainer.members": 2,
        "trainer.epochs": 3,
        "evaluator.max_drop": 1.0,
    },
)
