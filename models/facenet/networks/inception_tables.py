"""The Inception modules of FaceNet's networks: NN2 of the paper's Table 2, and the smaller ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True)
class InceptionModule:
    """One row of the paper's Table 2: the feature maps of an Inception module's branches.

    Args:
        name: string, such as `"3a"`.
        one: maps of the 1×1 convolution; 0 for none.
        three_reduce: maps of the 1×1 convolution before the 3×3 one.
        three: maps of the 3×3 convolution.
        five_reduce: maps of the 1×1 convolution before the 5×5 one; 0 for none.
        five: maps of the 5×5 convolution; 0 for none.
        pooling: `"max"` or `"l2"`, over 3×3.
        projection: maps of the 1×1 convolution after the pooling; 0 if its maps pass as they are.
        strides: 1, or 2 where the module halves the image: then of the 3×3 and 5×5 convolutions and
            of the pooling.
    """

    name: str
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pooling: Literal["max", "l2"]
    projection: int
    strides: int = 1


def without_five(
    modules: Sequence[InceptionModule], names: Collection[str]
) -> tuple[InceptionModule, ...]:
    """Returns the modules with no 5×5 convolution in those named."""
    return tuple(
        dataclasses.replace(module, five_reduce=0, five=0) if module.name in names else module
        for module in modules
    )


NN2_MODULES = (
    InceptionModule("3a", 64, 96, 128, 16, 32, "max", 32),
    InceptionModule("3b", 64, 96, 128, 32, 64, "l2", 64),
    InceptionModule("3c", 0, 128, 256, 32, 64, "max", 0, strides=2),
    InceptionModule("4a", 256, 96, 192, 32, 64, "l2", 128),
    InceptionModule("4b", 224, 112, 224, 32, 64, "l2", 128),
    InceptionModule("4c", 192, 128, 256, 32, 64, "l2", 128),
    InceptionModule("4d", 160, 144, 288, 32, 64, "l2", 128),
    InceptionModule("4e", 0, 160, 256, 64, 128, "max", 0, strides=2),
    InceptionModule("5a", 384, 192, 384, 48, 128, "l2", 128),
    InceptionModule("5b", 384, 192, 384, 48, 128, "max", 128),
)

# Of all cuts "from this module on" only this one has the published 285 M multiply-adds.
NN4_MODULES = without_five(NN2_MODULES, ("4e", "5a", "5b"))

# Half the maps of NN2, and without its 3b, 4d and 5b.
NNS1_MODULES = (
    InceptionModule("3a", 32, 48, 64, 8, 16, "max", 16),
    InceptionModule("3c", 0, 64, 128, 16, 32, "max", 0, strides=2),
    InceptionModule("4a", 128, 48, 96, 16, 32, "l2", 64),
    InceptionModule("4b", 112, 56, 112, 16, 32, "l2", 64),
    InceptionModule("4c", 96, 64, 128, 16, 32, "l2", 64),
    InceptionModule("4e", 0, 80, 128, 32, 64, "max", 0, strides=2),
    InceptionModule("5a", 192, 96, 192, 24, 64, "l2", 64),
)

# 3/16 of the maps of NN2 (multiples of 4), and without its 3b, 4c and 4d.
NNS2_MODULES = (
    InceptionModule("3a", 12, 16, 24, 4, 8, "max", 8),
    InceptionModule("3c", 0, 24, 48, 8, 12, "max", 0, strides=2),
    InceptionModule("4a", 48, 16, 36, 8, 12, "l2", 24),
    InceptionModule("4b", 40, 20, 40, 8, 12, "l2", 24),
    InceptionModule("4e", 0, 32, 48, 12, 24, "max", 0, strides=2),
    InceptionModule("5a", 72, 36, 72, 8, 24, "l2", 24),
    InceptionModule("5b", 72, 36, 72, 8, 24, "max", 24),
)
