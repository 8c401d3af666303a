"""Parameters of the sources of ratings, of their transform and of their evaluation."""

from __future__ import annotations

from typing import Literal

import pydantic

from ...base.parameters import Parameters


class FoldOptions(Parameters):
    """How ratings are held out for evaluation; a model is trained for each fold, on the others."""

    split_by: Literal["folds", "leave_one_out"] = pydantic.Field(
        "folds",
        description="folds: a hash of seed, user and item puts each rating into one of `folds` "
        "test sets; leave_one_out: the last rating of each user who has several is the only test "
        "set",
    )
    folds: int = pydantic.Field(5, ge=2, description="number of folds")
    seed: int = pydantic.Field(0, ge=0, description="chooses the fold of a rating")


class RangeOptions(Parameters):
    """Which ratings are possible; others are bad records."""

    min_rating: float = pydantic.Field(
        1.0, allow_inf_nan=False, description="smallest possible rating"
    )
    max_rating: float = pydantic.Field(
        5.0, allow_inf_nan=False, description="largest possible rating"
    )

    @pydantic.model_validator(mode="after")
    def _ordered(self):
        if self.min_rating >= self.max_rating:
            raise ValueError(
                "`min_rating` must be below `max_rating`. "
                f"Received: min_rating={self.min_rating:g}, max_rating={self.max_rating:g}"
            )
        return self


class SimulatorOptions(FoldOptions, RangeOptions):
    """The low-rank model that ratings are drawn from, see `simulator`."""

    users: int = pydantic.Field(1_000, ge=1, description="number of users")
    items: int = pydantic.Field(1_700, ge=1, description="number of items")
    ratings: int = pydantic.Field(100_000, ge=1, description="number of ratings")
    rank: int = pydantic.Field(8, ge=1, description="number of tastes, rank of the true ratings")
    noise: float = pydantic.Field(
        0.7, ge=0, description="standard deviation of what is added to a true rating"
    )
    step: float = pydantic.Field(
        1.0, ge=0, description="ratings are rounded to multiples above `min_rating`; 0: not rounded"
    )
    skew: float = pydantic.Field(
        1.0, ge=0, description="exponent of Zipf's law of the items' popularity; 0: all alike"
    )
    affinity: float = pydantic.Field(
        0.5,
        ge=0,
        description="how much users choose by taste: a star more makes it exp(affinity) times as "
        "likely that an item is rated; 0: ratings are missing at random",
    )
    seed: int = pydantic.Field(0, ge=0, description="of factors, ratings and folds")

    @pydantic.model_validator(mode="after")
    def _possible(self):
        if not self.users <= self.ratings <= self.users * self.items:
            raise ValueError(
                "`ratings` must be at least one per user and at most one per user and item: from "
                f"{self.users:,} to {self.users * self.items:,}. Received: {self.ratings:,}"
            )
        if self.min_rating < 0:
            raise ValueError(
                "`min_rating` must not be negative, because the factors are not. "
                f"Received: {self.min_rating:g}"
            )
        return self


class MovieLensOptions(FoldOptions, RangeOptions):
    """Which files of MovieLens are read, and which of them are test ratings."""

    # MovieLens has more ways to split than the base class.
    split_by: Literal["published", "published_ab", "folds", "leave_one_out"] = pydantic.Field(  # type: ignore[assignment]
        "published",
        description="published: u1.test to u5.test are the folds; published_ab: ua.test and "
        "ub.test, ten ratings of each user, are two folds; folds and leave_one_out: as for other "
        "ratings",
    )
    min_rating: float = pydantic.Field(
        0.5, allow_inf_nan=False, description="smallest possible rating"
    )


class TextOptions(FoldOptions, RangeOptions):
    """How lines of text are read."""

    delimiter: str = pydantic.Field(
        "",
        description="between columns: one character, or '::'; empty: found in the first line. "
        "Values may be quoted, but not where tabs or '::' separate them",
    )
    header: bool = pydantic.Field(
        True, description="the first line names the columns; else they are named by number from 1"
    )
    user_column: str = pydantic.Field("user", min_length=1, description="name or number")
    item_column: str = pydantic.Field("item", min_length=1, description="name or number")
    rating_column: str = pydantic.Field("rating", min_length=1, description="name or number")
    timestamp_column: str = pydantic.Field(
        "", description="name or number; of seconds, or of dates as 2026-11-22; empty: none"
    )

    @pydantic.field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) > 1 and value != "::":
            raise ValueError(f"`delimiter` must be one character, or '::'. Received: {value!r}")
        return value


class TfdsOptions(FoldOptions, RangeOptions):
    """Which prepared data set is read from the disk, and which of its features."""

    dataset: str = pydantic.Field(
        "movielens/100k-ratings",
        min_length=1,
        description="as in tfds.builder: name, name/config, name:1.0.0",
    )
    user_feature: str = pydantic.Field("user_id", min_length=1, description="name of a feature")
    item_feature: str = pydantic.Field("movie_id", min_length=1, description="name of a feature")
    rating_feature: str = pydantic.Field(
        "user_rating", min_length=1, description="name of a feature"
    )
    timestamp_feature: str = pydantic.Field(
        "timestamp", description="name of a feature; empty: none"
    )
    min_rating: float = pydantic.Field(
        0.5, allow_inf_nan=False, description="smallest possible rating"
    )


class TransformOptions(Parameters):
    """Which ids are worth a place in the vocabularies."""

    min_user_ratings: int = pydantic.Field(
        1, ge=1, description="users with fewer ratings are out of vocabulary: left out of training"
    )
    min_item_ratings: int = pydantic.Field(
        1, ge=1, description="items with fewer ratings are out of vocabulary: left out"
    )


class EvaluatorOptions(Parameters):
    """What a good recommendation is."""

    threshold: float = pydantic.Field(
        4.0, allow_inf_nan=False, description="an item is relevant from this test rating on"
    )


class ExporterOptions(Parameters):
    """How the recommender answers."""

    recommendations: int = pydantic.Field(10, ge=1, description="items in an answer")
