"""Non-negative matrix factorization: V ≈ WH with W, H ≥ 0.

Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13.
"""

from .additive import additive_update, rescaling_learning_rate
from .factorization import Factorization
from .factorize import factorize, solve_rows
from .hierarchical import hierarchical_update
from .initialization import initialize
from .losses import divergence_loss, euclidean_loss, gradient_parts
from .mini_batch_factorizer import MiniBatchFactorizer
from .multiplicative import multiplicative_update
from .non_negative_factorization import NonNegativeFactorization
from .parts_model import PartsModel
from .principal_components import PrincipalComponents
from .rating_factorization import RatingFactorization
from .truncated_svd import truncated_svd
from .vector_quantization import VectorQuantization

__all__ = [
    "NMF",
    "Factorization",
    "MiniBatchFactorizer",
    "NonNegativeFactorization",
    "PartsModel",
    "PrincipalComponents",
    "RatingFactorization",
    "VectorQuantization",
    "additive_update",
    "divergence_loss",
    "euclidean_loss",
    "factorize",
    "gradient_parts",
    "hierarchical_update",
    "initialize",
    "multiplicative_update",
    "rescaling_learning_rate",
    "solve_rows",
    "truncated_svd",
]


def __getattr__(name):
    # Layers must load where scikit-learn is not installed, such as a server's environment.
    if name == "NMF":
        from .nmf import NMF

        return NMF
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
