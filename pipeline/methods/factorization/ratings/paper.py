"""Published errors on MovieLens 100k; the paper itself has no ratings."""

from ....report.paper import PaperFigure

_SURPRISE = (
    "the paper has no ratings; these are of MovieLens 100k alone, as the documentation of the "
    "library Surprise gives them for random folds of its own"
)

FIGURES = tuple(
    PaperFigure("rmse", value, f"Surprise {name}", remark=_SURPRISE)
    for name, value in (("NMF", 0.963), ("SVD", 0.934), ("SVD++", 0.919))
)
