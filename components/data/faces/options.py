"""Parameters of the sources of faces and of their transform."""

from __future__ import annotations

from typing import Literal

import pydantic

from ...base.parameters import Parameters

_LIMIT = pydantic.Field(
    0,
    ge=0,
    description="about the largest number of images of each split of the source, of whole people; "
    "those of a pairs file are all read; 0 for all",
)


class PairOptions(Parameters):
    """How people are held out, and how verification pairs are drawn of their images."""

    test_fraction: float = pydantic.Field(
        0.2, gt=0, lt=1, description="part of the identities that becomes the split test"
    )
    pairs: int = pydantic.Field(
        1_000,
        ge=2,
        description="number of verification pairs drawn of the split test, half of them the same "
        "person; fewer where there are not so many",
    )
    folds: int = pydantic.Field(
        10, ge=2, description="number of folds of the pairs; a person is in one of them only"
    )
    seed: int = pydantic.Field(0, ge=0, description="chooses the people of the split test, pairs")


class SimulatorOptions(PairOptions):
    """The faces that are drawn, see `simulator`."""

    identities: int = pydantic.Field(400, ge=2, description="number of people")
    images: int = pydantic.Field(20, ge=1, description="number of images of each person")
    size: int = pydantic.Field(64, ge=16, le=512, description="height and width in pixels")
    nuisance: float = pydantic.Field(
        1.0,
        ge=0,
        le=2,
        description="how much the images of one person differ in pose, place, light, expression, "
        "occlusion, background and noise; 0: not at all",
    )
    file_format: Literal["jpeg", "png"] = pydantic.Field("jpeg", description="of the images")
    seed: int = pydantic.Field(0, ge=0, description="of the people, the images and the pairs")
    limit: int = _LIMIT


class CheckOptions(Parameters):
    """Which images can be used; others are dead letters."""

    min_size: int = pydantic.Field(
        20, ge=1, description="smallest height and width of an image in pixels"
    )
    max_pixels: int = pydantic.Field(
        1 << 25,
        ge=1,
        description="largest number of pixels of an image; looked up before it is decoded",
    )


class FolderOptions(CheckOptions, PairOptions):
    """Which images of a folder or .zip are read, and what is known of them."""

    pairs_file: str = pydantic.Field(
        "",
        description="LFW's pairs.txt or its like, in the data, beside it or by its path: the "
        "people it names are the split test, and its pairs those of verification; then "
        "test_fraction, pairs and folds have no effect",
    )
    eyes: str = pydantic.Field(
        "",
        description="CSV file with lines id,lx,ly,rx,ry, in the data, beside it or by its path: "
        "the eyes at the image's left and right in pixels",
    )
    limit: int = _LIMIT


class LfwOptions(CheckOptions, PairOptions):
    """Which data set of faces is read that `tensorflow-datasets` has prepared on disk."""

    dataset: str = pydantic.Field(
        "lfw", min_length=1, description="as in tfds.builder: name, name/config, name:1.0.0"
    )
    pairs_file: str = pydantic.Field(
        "",
        description="path of LFW's pairs.txt or its like: the people it names are the split test, "
        "and its pairs those of verification; then test_fraction, pairs and folds have no effect",
    )
    limit: int = _LIMIT


class TransformOptions(Parameters):
    """What the images are turned into."""

    height: int = pydantic.Field(
        0, ge=0, description="of the pixels; 0: most common in the training data, after the crop"
    )
    width: int = pydantic.Field(
        0, ge=0, description="of the pixels; 0: most common in the training data, after the crop"
    )
    channels: Literal[0, 1, 3] = pydantic.Field(
        0, description="1 for gray, 3 for red, green, blue; 0: most common in the training data"
    )
    crop: float | tuple[int, int, int, int] = pydantic.Field(
        1.0,
        description="what of an image is used: a fraction of its height and width around the "
        "center, in (0, 1], or a box [left, top, right, bottom] in pixels",
    )
    align: bool = pydantic.Field(
        False,
        description="turn, scale and move each image so that its eyes come to fixed places, "
        "instead of the crop",
    )
    eye_distance: float = pydantic.Field(
        0.4, gt=0, lt=1, description="with align: between the eyes, as a part of the width"
    )
    eye_height: float = pydantic.Field(
        0.4, gt=0, lt=1, description="with align: of the eyes below the top, as a part of height"
    )
    without_eyes: Literal["bad", "crop"] = pydantic.Field(
        "bad",
        description="with align, what an image without known eyes is: a bad record, or cropped",
    )

    @pydantic.field_validator("crop")
    @classmethod
    def _possible(cls, value):
        if isinstance(value, tuple):
            left, top, right, bottom = value
            if not (0 <= left < right and 0 <= top < bottom):
                raise ValueError(
                    "`crop` as a box must be [left, top, right, bottom] with 0 <= left < right "
                    f"and 0 <= top < bottom. Received: {list(value)}"
                )
        elif not 0 < value <= 1:
            raise ValueError(f"`crop` as a fraction must be in (0, 1]. Received: {value}")
        return value
