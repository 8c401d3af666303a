"""Memory networks (Weston et al., arXiv 1410.3916 and 1502.05698): MemNN with AM, NG and NL."""

from .bag_of_features import BagOfFeatures
from .losses import MarginRankingLoss, PairwiseMarginRankingLoss
from .matching import Matching
from .memory_network import MemoryNetwork
from .response import Response
from .supporting_facts import SupportingFacts
from .task_router import TaskRouter
from .write_time import NOW, WriteTime, tournament, write_time_features

__all__ = [
    "NOW",
    "BagOfFeatures",
    "MarginRankingLoss",
    "Matching",
    "MemoryNetwork",
    "PairwiseMarginRankingLoss",
    "Response",
    "SupportingFacts",
    "TaskRouter",
    "WriteTime",
    "tournament",
    "write_time_features",
]
