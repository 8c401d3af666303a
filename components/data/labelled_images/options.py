"""Parameters of the sources of labelled images and of their transform."""

from __future__ import annotations

from typing import Literal

import pydantic

from ...base.parameters import Parameters

_LIMIT = pydantic.Field(
    0, ge=0, description="largest number of images of each split of the source; 0 for all"
)


class BundledOptions(Parameters):
    """Which of scikit-learn's digits become the test split."""

    test_fraction: float = pydantic.Field(
        0.2, gt=0, lt=1, description="part of the images that becomes the split test"
    )
    seed: int = pydantic.Field(0, ge=0, description="chooses the images of the split test")
    limit: int = _LIMIT


class IdxOptions(Parameters):
    """How much is read of the IDX files."""

    limit: int = _LIMIT


class TfdsOptions(Parameters):
    """Which data set is read from the disk."""

    dataset: str = pydantic.Field(
        "mnist", min_length=1, description="as in tfds.builder: name, name/config, name:1.0.0"
    )
    limit: int = _LIMIT


class FolderOptions(Parameters):
    """How much is read of the image files; of each class the same number, as far as possible."""

    limit: int = _LIMIT


class TransformOptions(Parameters):
    """What the images are turned into."""

    height: int = pydantic.Field(0, ge=0, description="of the images; 0: as in the training data")
    width: int = pydantic.Field(0, ge=0, description="of the images; 0: as in the training data")
    channels: Literal[0, 1, 3] = pydantic.Field(
        0, description="1 for gray, 3 for red, green, blue; 0: as in the training data"
    )
    binarize: bool = pydantic.Field(
        False, description="binary pixels: 0 up to half of the range, else the largest value"
    )
    unknown_classes: bool = pydantic.Field(
        False,
        description="keep images of classes that training lacks, with the label -1: for methods "
        "that look at images only",
    )
