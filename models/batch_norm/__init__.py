"""Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167): layer, folding, watching."""

from ..layers.local_response_normalization import LocalResponseNormalization
from .activation_percentiles import ActivationPercentiles
from .batch_normalization import BatchNormalization
from .folding.folding import FoldReport, fold_batch_norm
from .inception_network import inception_network
from .population_statistics import PopulationStatistics, estimate_population_statistics
from .sigmoid_network import sigmoid_network

__all__ = [
    "ActivationPercentiles",
    "BatchNormalization",
    "FoldReport",
    "LocalResponseNormalization",
    "PopulationStatistics",
    "estimate_population_statistics",
    "fold_batch_norm",
    "inception_network",
    "sigmoid_network",
]
