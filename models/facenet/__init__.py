"""FaceNet (Schroff et al. 2015): triplets, their selection, and an embedding of faces."""

from .fisher_vectors.dense_descriptors import DenseDescriptors
from .fisher_vectors.fisher_network import (
    adapt_fisher_features,
    fisher_features,
    fisher_head,
    fisher_network,
)
from .fisher_vectors.fisher_vectors import FisherVectors
from .fisher_vectors.signed_root import SignedRoot
from .large_margin.large_margin_loss import LargeMarginLoss
from .large_margin.large_margin_metric import LargeMarginMetric
from .large_margin.large_margin_objective import large_margin_objective, target_neighbors
from .large_margin.pixel_metric_network import pixel_metric_network
from .large_margin.positive_semidefinite import PositiveSemidefinite, nearest_positive_semidefinite
from .large_margin.principal_projection import PrincipalProjection
from .measures.clustering import PairwiseScores, cluster, pairwise_scores
from .measures.identification import Identification, rank_accuracies
from .measures.tracks import track_distance, track_distances
from .measures.verification import (
    ReceiverOperatingCharacteristic,
    ValAtFar,
    Verification,
    best_threshold,
    val_at_far,
    verify,
)
from .networks.energy_normalization import EnergyNormalization
from .networks.flops import multiply_adds
from .networks.gabor_magnitudes import GaborMagnitudes
from .networks.inception_networks import nn2, nn3, nn4, nns1, nns2
from .networks.joined_network import joined_network
from .networks.l2_pooling import L2Pooling2D
from .networks.maxout import Maxout
from .networks.mirrored import MirrorImage, mirrored
from .networks.resized import resized
from .networks.small_network import small_network
from .networks.unit_embedding import UnitEmbedding
from .networks.zeiler_fergus_network import nn1
from .triplets.collapse_monitor import CollapseMonitor
from .triplets.distances import squared_distances
from .triplets.harmonic_embedding import HarmonicModel
from .triplets.margin_schedule import MarginSchedule, linear_margin, stepped_margin
from .triplets.offline_selection import offline_triplets
from .triplets.triplet_loss import TripletLoss
from .triplets.triplets import TripletCounts, Triplets, count_triplets, select_triplets

__all__ = [
    "CollapseMonitor",
    "DenseDescriptors",
    "EnergyNormalization",
    "FisherVectors",
    "GaborMagnitudes",
    "HarmonicModel",
    "Identification",
    "L2Pooling2D",
    "LargeMarginLoss",
    "LargeMarginMetric",
    "MarginSchedule",
    "Maxout",
    "MirrorImage",
    "PairwiseScores",
    "PositiveSemidefinite",
    "PrincipalProjection",
    "ReceiverOperatingCharacteristic",
    "SignedRoot",
    "TripletCounts",
    "TripletLoss",
    "Triplets",
    "UnitEmbedding",
    "ValAtFar",
    "Verification",
    "adapt_fisher_features",
    "best_threshold",
    "cluster",
    "count_triplets",
    "fisher_features",
    "fisher_head",
    "fisher_network",
    "joined_network",
    "large_margin_objective",
    "linear_margin",
    "mirrored",
    "multiply_adds",
    "nearest_positive_semidefinite",
    "nn1",
    "nn2",
    "nn3",
    "nn4",
    "nns1",
    "nns2",
    "offline_triplets",
    "pairwise_scores",
    "pixel_metric_network",
    "rank_accuracies",
    "resized",
    "select_triplets",
    "small_network",
    "squared_distances",
    "stepped_margin",
    "target_neighbors",
    "track_distance",
    "track_distances",
    "val_at_far",
    "verify",
]
