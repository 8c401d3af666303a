"""A recommender by non-negative matrix factorization of the ratings that there are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic

from .....components.base.parameters import HOW, Parameters
from .....components.data.ratings.options import (
    EvaluatorOptions,
    ExporterOptions,
    MovieLensOptions,
    SimulatorOptions,
    TextOptions,
    TfdsOptions,
    TransformOptions,
)
from ...method import Method, PaperFigure, Source
from .metrics import METRICS, ROOT_MEAN_SQUARE, SERVED, fold_name

if TYPE_CHECKING:
    from .....components.base.transformed_data import TransformedData
    from .....components.exporter.serving_model import ServingModel
    from .....components.trainer.fit import Fit, TrainingSummary

SURPRISE = (
    "the paper has no ratings; these are of MovieLens 100k alone, as the documentation of the "
    "library Surprise gives them for random folds of its own"
)


class TrainerOptions(Parameters):
    """The factorization and how it is fitted."""

    rank: int = pydantic.Field(20, ge=1, description="non-negative factors of a member")
    members: int = pydantic.Field(
        8, ge=1, description="factorizations from other starts, whose predictions are averaged"
    )
    factor_penalty: float = pydantic.Field(
        0.15, ge=0, description="of the squared factors, in units of the range of ratings"
    )
    penalty_exponent: float = pydantic.Field(
        0.5, ge=0, description="power of a user's or item's number of ratings in its penalty"
    )
    bias_penalty: float = pydantic.Field(3.0, ge=0, description="of the squared biases, in ratings")
    epochs: int = pydantic.Field(5, ge=1, description="records of the training")
    sweeps_per_epoch: int = pydantic.Field(
        2, ge=1, description="sweeps of closed-form updates over all users and items, per record"
    )
    popularity_weight: float = pydantic.Field(
        1.0,
        ge=0,
        description="what the logarithm of an item's number of ratings adds, in stars, where items "
        "are ordered; 0 orders by predicted rating alone",
    )
    workers: int = pydantic.Field(
        1, ge=1, description="models trained side by side", json_schema_extra=HOW
    )


class EvaluatedSplit(EvaluatorOptions):
    """Test ratings are those of the folds, which lie beside the users' other ratings."""

    split: str = "train"


def read_simulated(parameters: SimulatorOptions, data_dir: str | None) -> Any:
    """Source `simulated`."""
    from .....components.data.ratings.transforms import Simulate

    return Simulate(parameters)


def read_movielens(parameters: MovieLensOptions, data_dir: str | None) -> Any:
    """Source `movielens`."""
    from .....components.data.ratings.transforms import ReadMovieLens

    return ReadMovieLens(parameters, data_dir or "")


def read_text(parameters: TextOptions, data_dir: str | None) -> Any:
    """Source `text`."""
    from .....components.data.ratings.transforms import ReadText

    return ReadText(parameters, data_dir or "")


def read_tfds(parameters: TfdsOptions, data_dir: str | None) -> Any:
    """Source `tfds`."""
    from .....components.data.ratings.transforms import ReadTfds

    return ReadTfds(parameters, data_dir or "")


def analyze(parameters: TransformOptions) -> Any:
    """Learns the vocabularies of users and items."""
    from .....components.data.ratings.transforms import Analyze

    return Analyze(parameters)


def transform(parameters: TransformOptions, assets: Mapping[str, Sequence[str]]) -> Any:
    """Turns ids into indices."""
    from .....components.data.ratings.transforms import ToIndices

    return ToIndices(parameters, assets)


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """A model for each fold, trained without its test ratings, and the one that is served."""
    from .....components.data.ratings.parsing import read_ratings

    ratings = read_ratings(data)
    folds = [(fold_name(fold), fold) for fold in range(ratings.fold_count)]
    return [_fit(name, fold, ratings, parameters) for name, fold in [*folds, (SERVED, None)]]


def _fit(name: str, fold: int | None, ratings: Any, parameters: TrainerOptions) -> Fit:
    from .....components.trainer.fit import Fit

    def build():
        from .....models.factorization import RatingFactorization

        model = RatingFactorization(
            len(ratings.user_ids),
            len(ratings.item_ids),
            parameters.rank,
            members=parameters.members,
            factor_penalty=parameters.factor_penalty,
            penalty_exponent=parameters.penalty_exponent,
            bias_penalty=parameters.bias_penalty,
            rating_range=ratings.rating_range,
            sweeps_per_step=parameters.sweeps_per_epoch,
            popularity_weight=parameters.popularity_weight,
            name=name,
        )
        model.build()
        model.compile(jit_compile=False)
        return model

    return Fit(
        name=name,
        build=build,
        train=lambda: ratings.training(fold).dataset(len(ratings)),
        epochs=parameters.epochs,
        # The test ratings of the fold choose nothing: the objective falls from sweep to sweep.
        monitor="loss",
    )


def summarize_training(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Says how the objective fell in each model."""
    from .....components.trainer.fit import Table, TrainingSummary

    rows = []
    for name, epochs in logs.items():
        losses = [epoch["loss"] for epoch in epochs]
        rising = sum(after > before * (1 + 1e-6) for before, after in itertools.pairwise(losses))
        rows.append([name, losses[0], losses[-1], len(losses), rising])
    columns = ["model", "first objective", "last objective", "records", "times it rose"]
    return TrainingSummary([Table("Objective a rating, by model", columns, rows)])


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: EvaluatedSplit
) -> Iterator[dict[str, Any]]:
    """Yields a row for each fold and user."""
    from . import evaluation

    yield from evaluation.rows(models, data, split, parameters.threshold)


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws errors, and metrics by activity of the users."""
    from .figures import evaluation_figures

    return evaluation_figures(rows)


def serve(
    models: Mapping[str, Any], data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Signatures for known users, histories of unknown ones, examples, and single ratings."""
    from . import serving

    return serving.serving_model(models[SERVED], data, parameters.recommendations)


def sample(features: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns a user's ratings for the report."""
    from .....components.data.ratings.examples import sample as shown

    return shown(features)


def layer_examples() -> Sequence[Any]:
    """Returns the layers for the conformance suite."""
    from .....models.factorization.examples import layer_examples as examples

    return examples()


METHOD = Method(
    name="nmf",
    title="Recommendations by non-negative matrix factorization",
    paper="Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13",
    sources={
        "simulated": Source(
            description="ratings of a low-rank model with known factors",
            read=read_simulated,
            options=SimulatorOptions,
        ),
        "movielens": Source(
            description="MovieLens 100k: a folder or archive with u.data and its folds",
            read=read_movielens,
            options=MovieLensOptions,
            needs_data_dir=True,
        ),
        "text": Source(
            description="CSV or TSV with columns user, item, rating and maybe a timestamp",
            read=read_text,
            options=TextOptions,
            needs_data_dir=True,
        ),
        "tfds": Source(
            description="a prepared tensorflow-datasets data set (movielens/100k-ratings)",
            read=read_tfds,
            options=TfdsOptions,
            needs_data_dir=True,
        ),
    },
    analyze=analyze,
    transform=transform,
    transform_options=TransformOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    summarize_training=summarize_training,
    evaluate=evaluate,
    evaluator_options=EvaluatedSplit,
    metrics=METRICS,
    higher_is_better=False,
    evaluated_on="test ratings of the folds",
    root_mean_square=ROOT_MEAN_SQUARE,
    slices=("fold",),
    serve=serve,
    exporter_options=ExporterOptions,
    paper_figures=[
        PaperFigure("rmse", value, f"Surprise {name}", remark=SURPRISE)
        for name, value in (("NMF", 0.963), ("SVD", 0.934), ("SVD++", 0.919))
    ],
    samples=sample,
    figures=figures,
    predict_inputs={"user": "a user's id; items come by predicted rating and popularity"},
    predict_signatures={
        "serving_history": {
            "items": "instead of --user: JSON list of the items that someone rated",
            "ratings": "JSON list of these ratings",
        }
    },
    layer_examples=layer_examples,
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
