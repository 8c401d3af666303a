"""FaceNet: an embedding of faces in which distance is likeness (Schroff et al. 2015)."""

from ....components.data.faces.options import TransformOptions
from ..method import Method
from .metrics import METRICS, SLICES
from .options import EvaluatorOptions, ExporterOptions, TrainerOptions
from .sources import DATA, SOURCES

METHOD = Method(
    name="facenet",
    title="Faces embedded so that distance is likeness, by triplets",
    paper=(
        "Schroff, Kalenichenko, Philbin 2015: FaceNet: A Unified Embedding for Face Recognition "
        "and Clustering, arXiv 1503.03832"
    ),
    package=__name__,
    data=DATA,
    sources=SOURCES,
    metrics=METRICS,
    slices=SLICES,
    transform_options=TransformOptions,
    trainer_options=TrainerOptions,
    evaluator_options=EvaluatorOptions,
    exporter_options=ExporterOptions,
    tiny={
        "example_gen.identities": 30,
        "example_gen.images": 4,
        "example_gen.size": 32,
        "example_gen.splits": {"train": 2, "eval": 1},
        "example_gen.pairs": 60,
        "trainer.maps": [4],
        "trainer.embedding_size": 16,
        "trainer.people": 5,
        "trainer.images": 3,
        "trainer.components": 8,
        "trainer.steps": 8,
        "trainer.record_every": 4,
        "evaluator.pairs": 60,
        "evaluator.degraded_pairs": 40,
        "evaluator.recognized": 60,
        "evaluator.max_drop": 1.0,
    },
)
