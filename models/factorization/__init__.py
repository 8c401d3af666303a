"""Non-negative matrix factorization: V ≈ WH with W, H ≥ 0.

Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13.
"""

from typing import TYPE_CHECKING, Any

from .parts.non_negative_factorization import NonNegativeFactorization
from .parts.parts_model import PartsModel
from .parts.principal_components import PrincipalComponents
from .parts.vector_quantization import VectorQuantization
from .ratings.rating_factorization import RatingFactorization
from .updates.additive import additive_update, rescaling_learning_rate
from .updates.factorization import Factorization
from .updates.factorize import factorize, solve_rows
from .updates.hierarchical import hierarchical_update
from .updates.initialization import initialize
from .updates.losses import divergence_loss, euclidean_loss, gradient_parts
from .updates.mini_batch_factorizer import MiniBatchFactorizer
from .updates.multiplicative import multiplicative_update
from .updates.truncated_svd import truncated_svd

if TYPE_CHECKING:
    from .nmf import NMF

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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Layers must load where scikit-learn is not installed, such as a server's environment.
    if name == "NMF":
        from .nmf import NMF

        return NMF
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
