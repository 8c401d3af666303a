"""Batch normalization in a small Inception: the variants of Ioffe & Szegedy 2015, section 4.2."""

from .....components.data.labelled_images.options import TransformOptions
from .....components.evaluator.metric import Metric
from ...image_classification.sources import DATA, SOURCES
from ...method import Method
from ..options import ExporterOptions
from ..sigmoid import METHOD as SIGMOID
from .options import TrainerOptions
from .variants import ENSEMBLE_OF, VARIANTS

METHOD = Method(
    name="batch-norm-inception",
    title="Batch normalization in a small Inception network, in the paper's variants",
    paper=SIGMOID.paper,
    package=__name__,
    data=DATA,
    sources=SOURCES,
    metrics=(
        Metric("accuracy", "share of images classified correctly by the network that is served"),
        *(Metric(name, f"share of images that {name} classifies correctly") for name in VARIANTS),
        Metric(
            "ensemble",
            f"share of images classified correctly by the mean of all {ENSEMBLE_OF} networks",
        ),
    ),
    slices=("class",),
    mean_over_slices=False,
    transform_options=TransformOptions,
    trainer_options=TrainerOptions,
    exporter_options=ExporterOptions,
    tiny={
        "example_gen.limit": 200,
        "trainer.variants": ["bn_x5"],
        "trainer.jit_compile": False,
        "trainer.width": 0.2,
        "trainer.steps": 8,
        "trainer.record_every": 4,
        "trainer.population_batches": 2,
        "trainer.workers": 1,
        "evaluator.max_drop": 1.0,
    },
)
