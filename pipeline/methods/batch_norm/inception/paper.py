"""Figure 3 of Ioffe & Szegedy 2015 (arXiv 1502.03167), section 4.2.2."""

from __future__ import annotations

from typing import Any

from ....report.paper import PaperFigure

STEPS = {
    "inception": 31.0,
    "bn_baseline": 13.3,
    "bn_x5": 2.1,
    "bn_x30": 2.7,
}
"""Millions of steps to 72.2 %, the baseline's best accuracy; the others never reach it."""

BEST = {
    "inception": 0.722,
    "bn_baseline": 0.727,
    "bn_x5": 0.730,
    "bn_x30": 0.748,
    "bn_x5_sigmoid": 0.698,
    "sigmoid": 0.001,
}
"""Best top-1 accuracy."""

_COLUMN = "ImageNet"
_DATA = "top-1 accuracy on ILSVRC 2012 with 1,000 classes, full-size Inception"
_REMARKS = {"sigmoid": "; sigmoid without it stays at chance, below 1/1000"}

FIGURES = tuple(
    PaperFigure(name, best, _COLUMN, remark=f"{_DATA}{_REMARKS.get(name, '')}")
    for name, best in BEST.items()
)


def column(parameters: Any) -> str:
    """Returns the paper's column that a run stands beside."""
    return _COLUMN
