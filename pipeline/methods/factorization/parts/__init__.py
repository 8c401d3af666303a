"""Images as sums of parts: Figure 1 of Lee & Seung 1999 beside its two baselines."""

from .....components.evaluator.metric import Metric
from ...image_classification.sources import DATA, SOURCES
from ...method import Method
from .options import TrainerOptions, UnlabelledOptions

_BASELINES = {
    "": "",
    "_pca": "the same with principal components",
    "_vq": "the same with vector quantization",
}

METHOD = Method(
    name="nmf-parts",
    title="Images as sums of parts, by non-negative matrix factorization",
    paper=(
        "Lee, Seung 1999: Learning the parts of objects by non-negative matrix factorization, "
        "Nature 401; Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13"
    ),
    package=__name__,
    data=DATA,
    sources=SOURCES,
    metrics=(
        *(
            Metric(
                f"error{suffix}",
                same or "root of the mean squared difference of the pixels, in [0, 1]",
                higher_is_better=False,
                average="root_mean_square",
            )
            for suffix, same in _BASELINES.items()
        ),
        *(
            Metric(
                f"used{suffix}",
                same or "components that an image is effectively made of",
                higher_is_better=False,
            )
            for suffix, same in _BASELINES.items()
        ),
    ),
    mean_over_slices=False,
    transform_options=UnlabelledOptions,
    trainer_options=TrainerOptions,
    tiny={
        "example_gen.limit": 200,
        "trainer.rank": 6,
        "trainer.epochs": 3,
        "trainer.iterations": 5,
        "evaluator.max_drop": 1.0,
    },
)
