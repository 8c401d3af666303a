"""FaceNet (Schroff et al. 2015): triplets, their selection, and an embedding of faces.

Exported are layers, losses, models, callbacks, networks and measures. The parts that they are made
of are imported from the rooms: `triplets`, `networks`, `fisher_vectors`, `large_margin` and
`measures`.
"""

from .fisher_vectors.dense_descriptors import DenseDescriptors
from .fisher_vectors.fisher_network import (
    adapt_fisher_features,
    fisher_features,
    fisher_head,
    fisher_network,
)
from .fisher_vectors.fisher_vectors import FisherVectors
from .large_margin.large_margin_loss import LargeMarginLoss
from .large_margin.large_margin_metric import LargeMarginMetric
from .large_margin.principal_projection import PrincipalProjection
from .measures.clustering import cluster, pairwise_scores
from .measures.identification import rank_accuracies
from .measures.tracks import track_distances
from .measures.verification import val_at_far, verify
from .networks.flops import multiply_adds
from .networks.inception_networks import nn2, nn3, nn4, nns1, nns2
from .networks.joined_network import joined_network
from .networks.l2_pooling import L2Pooling2D
from .networks.maxout import Maxout
from .networks.mirrored import mirrored
from .networks.resized import resized
from .networks.small_network import small_network
from .networks.unit_embedding import UnitEmbedding
from .networks.zeiler_fergus_network import nn1
from .triplets.collapse_monitor import CollapseMonitor
from .triplets.harmonic_embedding import HarmonicModel
from .triplets.margin_schedule import MarginSchedule, linear_margin, stepped_margin
from .triplets.offline_selection import offline_triplets
from .triplets.triplet_loss import TripletLoss
from .triplets.triplets import count_triplets, select_triplets

__all__ = [
    "CollapseMonitor",
    "DenseDescriptors",
    "FisherVectors",
    "HarmonicModel",
    "L2Pooling2D",
    "LargeMarginLoss",
    "LargeMarginMetric",
    "MarginSchedule",
    "Maxout",
    "PrincipalProjection",
    "TripletLoss",
    "UnitEmbedding",
    "adapt_fisher_features",
    "cluster",
    "count_triplets",
    "fisher_features",
    "fisher_head",
    "fisher_network",
    "joined_network",
    "linear_margin",
    "mirrored",
    "multiply_adds",
    "nn1",
    "nn2",
    "nn3",
    "nn4",
    "nns1",
    "nns2",
    "offline_triplets",
    "pairwise_scores",
    "rank_accuracies",
    "resized",
    "select_triplets",
    "small_network",
    "stepped_margin",
    "track_distances",
    "val_at_far",
    "verify",
]
