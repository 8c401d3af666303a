"""FaceNet (Schroff et al. 2015): triplets, their selection, and an embedding of faces."""

from .clustering import PairwiseScores, cluster, pairwise_scores
from .collapse_monitor import CollapseMonitor
from .dense_descriptors import DenseDescriptors
from .distances import squared_distances
from .energy_normalization import EnergyNormalization
from .fisher_network import adapt_fisher_features, fisher_features, fisher_head, fisher_network
from .fisher_vectors import FisherVectors
from .flops import multiply_adds
from .gabor_magnitudes import GaborMagnitudes
from .harmonic_embedding import HarmonicModel
from .identification import Identification, rank_accuracies
from .inception_networks import nn2, nn3, nn4, nns1, nns2
from .joined_network import joined_network
from .l2_pooling import L2Pooling2D
from .large_margin_loss import LargeMarginLoss
from .large_margin_metric import LargeMarginMetric
from .large_margin_objective import large_margin_objective, target_neighbors
from .margin_schedule import MarginSchedule, linear_margin, stepped_margin
from .maxout import Maxout
from .mirrored import MirrorImage, mirrored
from .offline_selection import offline_triplets
from .pixel_metric_network import pixel_metric_network
from .positive_semidefinite import PositiveSemidefinite, nearest_positive_semidefinite
from .principal_projection import PrincipalProjection
from .resized import resized
from .signed_root import SignedRoot
from .small_network import small_network
from .tracks import track_distance, track_distances
from .triplet_loss import TripletLoss
from .triplets import TripletCounts, Triplets, count_triplets, select_triplets
from .unit_embedding import UnitEmbedding
from .verification import (
    ReceiverOperatingCharacteristic,
    ValAtFar,
    Verification,
    best_threshold,
    val_at_far,
    verify,
)
from .zeiler_fergus_network import nn1

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
