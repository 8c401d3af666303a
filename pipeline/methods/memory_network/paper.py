"""Table 3 of Weston et al. 2015 (arXiv 1502.05698)."""

from __future__ import annotations

from typing import Any

from ...report.paper import PaperFigure

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

FIGURES = (
    *(
        PaperFigure("accuracy", value / 100, name, {"task": str(task)})
        for task, row in enumerate(TABLE_3, 1)
        for name, value in zip(COLUMNS, row, strict=True)
    ),
    *(
        PaperFigure("accuracy", value / 100, name, {}, "mean over the tasks")
        for name, value in zip(COLUMNS, MEANS, strict=True)
    ),
)


def column(parameters: Any) -> str:
    """Returns the paper's column that a run stands beside."""
    if parameters.training == "joint":
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
