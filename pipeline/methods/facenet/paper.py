"""Accuracy and VAL of Schroff et al. 2015 (arXiv 1503.03832), sections 5.6 and 5.1."""

from ...report.paper import PaperFigure

_TRAINED = "260 million photographs of 8 million people, network NN1 or NN2, 1,000 to 2,000 hours"
_MILLION = f"on a million photographs; {_TRAINED}"

FIGURES = (
    PaperFigure("accuracy", 0.9887, "LFW", remark=f"fixed crop; {_TRAINED}"),
    PaperFigure("accuracy", 0.9963, "LFW, aligned", remark=f"aligned; {_TRAINED}"),
    PaperFigure("val", 0.879, "NN1", remark=_MILLION, measured_at={"far": 0.001}),
    PaperFigure("val", 0.894, "NN2", remark=_MILLION, measured_at={"far": 0.001}),
)
