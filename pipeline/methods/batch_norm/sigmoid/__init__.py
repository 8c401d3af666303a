"""Batch normalization on digits: the sigmoid network of Ioffe & Szegedy 2015, section 4.1."""

from .....components.evaluator.metric import Metric
from ...image_classification.sources import DATA, SOURCES
from ...method import Method
from ..options import ExporterOptions
from .options import BinaryOptions, TrainerOptions

METHOD = Method(
    name="batch-norm",
    title="Batch normalization in a sigmoid network for digits",
    paper=(
        "Ioffe, Szegedy 2015: Batch Normalization: Accelerating Deep Network Training by Reducing "
        "Internal Covariate Shift, arXiv 1502.03167"
    ),
    package=__name__,
    data=DATA,
    sources=SOURCES,
    metrics=(
        Metric(
            "accuracy",
            "share of images classified correctly, with batch normalization; mean of repeats",
        ),
        Metric("accuracy_without", "the same without batch normalization"),
    ),
    slices=("class",),
    mean_over_slices=False,
    transform_options=BinaryOptions,
    trainer_options=TrainerOptions,
    exporter_options=ExporterOptions,
    tiny={
        "example_gen.limit": 300,
        "trainer.steps": 60,
        "trainer.record_every": 20,
        "trainer.units": 16,
        "trainer.hidden": 2,
        "trainer.workers": 1,
        "evaluator.max_drop": 1.0,
    },
)
