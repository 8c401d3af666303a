"""Non-negative matrix factorization as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from ..checks import is_integer
from ..types import Matrix
from .updates.factorize import as_pair, factorize, solve_rows
from .updates.initialization import initialize
from .updates.mini_batch_factorizer import MiniBatchFactorizer

_STARTS = ("auto", "random", "nndsvd", "nndsvda", "custom")
# A share of the estimator's tolerance: codes must be near the minimum, in any set of rows.
_ROW_TOLERANCE = 0.01


class NMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Factors a non-negative matrix into two: `X ≈ W H` with `W ≥ 0` and `H ≥ 0`.

    Lee & Seung 2001, "Algorithms for Non-negative Matrix Factorization", NIPS 13, for the pipelines
    and searches of scikit-learn. Minimises, over the entries of `X` that are known,

    ```
    loss="euclidean":   Σ w (X − WH)² / 2
    loss="divergence":  Σ w (X log(X / WH) − X + WH)
    ```

    plus `l1_W ΣW + l2_W ΣW²/2` and the same for `H`. The loss never rises from one iteration to the
    next. Differences from `sklearn.decomposition.NMF`: that class takes no NaN, no mask and no
    weights, and its `transform` of the training data differs from the result of `fit_transform`.
    Here both solve for `W` with `H` fixed, and agree. `init` and the names of the attributes are
    the same.

    Missing entries are NaN in `X`; or `weights` of 0; or, with `observed="stored"`, the entries
    that a sparse `X` does not store. Sparse matrices are never made dense. A row without known
    entries, or of zeros, has the code 0.

    Example:

    ```python
    import numpy as np
    from methodical.models.factorization import NMF

    ratings = np.array([[5.0, 4.0, 1.0], [4.0, 5.0, np.nan], [2.0, 1.0, 5.0]])
    model = NMF(2, random_state=0)
    tastes = model.fit_transform(ratings)
    predicted = model.inverse_transform(tastes)  # without missing entries
    ```

    Args:
        n_components: int, the rank; `None` for the smaller side of `X`.
        loss: `"euclidean"` or `"divergence"`.
        solver: `"multiplicative"` (Lee & Seung's updates), `"hierarchical"` (HALS, Cichocki & Phan
            2009; Euclidean only, and faster), `"additive"` (gradient descent with
            `learning_rate`), or `"auto"`: hierarchical, and multiplicative for the divergence.
        init: `"random"`; `"nndsvd"` (Boutsidis & Gallopoulos 2008), whose zeros the multiplicative
            solver can never leave; `"nndsvda"`, the same with zeros filled by the mean; `"custom"`:
            `W` and `H` are passed to `fit`; `"auto"`: nndsvd for the hierarchical solver, else
            nndsvda, but random if `n_components` exceeds the smaller side of `X`.
        max_iter: int > 0, the largest number of iterations.
        tol: float ≥ 0; stops when an iteration lowers the objective by less than `tol` times its
            value at the start. With 0 all iterations run.
        l1: penalty of the sums, a float for both factors or a pair for `W` and `H`.
        l2: penalty of half the sums of squares, in the same form.
        observed: `"all"`, or `"stored"`: the unstored entries of a sparse `X` are missing, not
            zero.
        learning_rate: step of the additive solver; `None` for the one of the multiplicative rule.
        forget_factor: float in (0, 1], the share of the sums over past batches that a `partial_fit`
            keeps.
        random_state: int, `RandomState` or `None`, of the random start.

    Attributes:
        components_: `H`, `(n_components_, n_features)`.
        n_components_: the rank.
        reconstruction_err_: `√(2 · loss)` of the training data, without penalties: for the
            Euclidean loss the Frobenius norm of `X − WH` over the known entries.
        n_iter_: the number of iterations, or of batches for `partial_fit`.
        n_features_in_: features seen by `fit`.
        feature_names_in_: their names, if `X` had names.

    Raises:
        ValueError: an argument is out of its range, or `X` has negative or infinite entries.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        loss: str = "euclidean",
        solver: str = "auto",
        init: str = "auto",
        max_iter: int = 500,
        tol: float = 1e-5,
        l1: float | tuple[float, float] = 0.0,
        l2: float | tuple[float, float] = 0.0,
        observed: str = "all",
        learning_rate: float | None = None,
        forget_factor: float = 0.7,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.solver = solver
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.l1 = l1
        self.l2 = l2
        self.observed = observed
        self.learning_rate = learning_rate
        self.forget_factor = forget_factor
        self.random_state = random_state

    def fit(
        self,
        X: Matrix,
        y: Any = None,
        weights: Matrix | None = None,
        W: np.ndarray | None = None,
        H: np.ndarray | None = None,
    ) -> NMF:
        """Learns the components of `X`; returns the estimator.

        Args:
            X: non-negative matrix `(n_samples, n_features)`, dense or sparse; NaN where unknown.
            y: ignored.
            weights: like `X`: the weights of the entries, or a mask, False where unknown. For a
                sparse `X`: a sparse matrix with the same stored entries.
            W: `(n_samples, n_components)`, the start, with `init="custom"`.
            H: `(n_components, n_features)`, the start, with `init="custom"`.
        """
        self.fit_transform(X, y, weights=weights, W=W, H=H)
        return self

    def fit_transform(
        self,
        X: Matrix,
        y: Any = None,
        weights: Matrix | None = None,
        W: np.ndarray | None = None,
        H: np.ndarray | None = None,
    ) -> np.ndarray:
        """Learns the components of `X` as `fit` does, and returns its codes `W`."""
        X, weights = self._read(X, weights, reset=True)
        rank = self._rank(X)
        result = factorize(
            X,
            rank,
            loss=self.loss,
            solver=self._solver(),
            start=self._start(X, rank, self._solver(), W, H),
            iterations=self.max_iter,
            tolerance=self.tol,
            weights=weights,
            observed=self.observed,
            l1=self.l1,
            l2=self.l2,
            learning_rate=self.learning_rate,
            seed=self._seed(),
        )
        if self.tol > 0 and result.stopped == "iterations":
            warnings.warn(
                f"The objective was still falling after max_iter={self.max_iter} iterations: "
                "raise `max_iter` or `tol`.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.components_ = result.H
        self.n_components_ = rank
        self.n_iter_ = result.iterations
        self._online: MiniBatchFactorizer | None = None
        codes, loss = self._solve(X, weights)
        self.reconstruction_err_ = float(np.sqrt(2 * loss))
        return codes

    def partial_fit(self, X: Matrix, y: Any = None, weights: Matrix | None = None) -> NMF:
        """Updates the components with a batch of rows; returns the estimator.

        The first batch initializes the components, unless `fit` was called before. With
        `solver="auto"` it also determines the solver: the hierarchical one needs fewer batches, but
        the Euclidean loss and batches without weights or missing entries.

        Args:
            X: as in `fit`.
            y: ignored.
            weights: as in `fit`.
        """
        first = not hasattr(self, "components_")
        X, weights = self._read(X, weights, reset=first)
        online = getattr(self, "_online", None)
        if first or online is None:
            solver = self._batch_solver(X, weights)
            if first:
                self.n_components_ = self._rank(X)
                self.components_ = self._first_components(X, weights, solver)
            online = self._online = MiniBatchFactorizer(
                self.components_,
                loss=self.loss,
                solver=solver,
                forgetting=self.forget_factor,
                l1=self.l1,
                l2=self.l2,
            )
        online.update(
            X, _row_start(X, weights, self.components_), weights=weights, observed=self.observed
        )
        self.components_ = online.H
        self.n_iter_ = online.batches
        return self

    def transform(self, X: Matrix, weights: Matrix | None = None) -> np.ndarray:
        """Returns the codes `W`, `(n_samples, n_components)`, of `X` for the learned components.

        Args:
            X: as in `fit`.
            weights: as in `fit`.
        """
        check_is_fitted(self)
        X, weights = self._read(X, weights, reset=False)
        return self._solve(X, weights)[0]

    def inverse_transform(self, X: Matrix) -> np.ndarray:
        """Returns `W H`, `(n_samples, n_features)`, of codes `X = W`, dense or sparse."""
        check_is_fitted(self)
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        return safe_sparse_dot(X, self.components_, dense_output=True)

    def __sklearn_tags__(self) -> Any:
        """Returns scikit-learn's tags: positive input, which may be sparse or missing."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def _read(self, X, weights, reset):
        X = validate_data(
            self,
            X,
            accept_sparse=("csr", "csc"),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=reset,
        )
        check_non_negative(X, type(self).__name__)
        if weights is not None and not scipy.sparse.issparse(weights):
            weights = np.asarray(weights)
        return X, weights

    def _rank(self, X):
        rank = min(X.shape) if self.n_components is None else self.n_components
        if not is_integer(rank) or rank < 1:
            raise ValueError(
                "`n_components` must be a positive integer, or None for the smaller side of X. "
                f"Received: n_components={self.n_components!r}"
            )
        return int(rank)

    def _solver(self):
        if self.solver != "auto":
            return self.solver
        return "hierarchical" if self.loss == "euclidean" else "multiplicative"

    def _batch_solver(self, X, weights):
        entries = X.data if scipy.sparse.issparse(X) else X
        complete = weights is None and self.observed == "all" and not np.isnan(entries).any()
        return self._solver() if self.solver != "auto" or complete else "multiplicative"

    def _start(self, X, rank, solver, W=None, H=None):
        """Returns the `start` of `factorize`."""
        if self.init not in _STARTS:
            raise ValueError(f"`init` must be one of {_STARTS}. Received: init={self.init!r}")
        custom = self.init == "custom"
        if (W is None or H is None) if custom else (W is not None or H is not None):
            raise ValueError(
                "`W` and `H` must both be given with init='custom', and only then. Received: "
                f"init={self.init!r}, W: {type(W).__name__}, H: {type(H).__name__}"
            )
        if custom:
            return W, H
        fits = rank <= min(X.shape)
        if self.init == "auto":
            if not fits:
                return "random"
            return "nndsvd" if solver == "hierarchical" else "nndsvda"
        if self.init != "random" and not fits:
            raise ValueError(
                f"init={self.init!r} needs `n_components` of at most the smaller side of X; use "
                f"init='random'. Received: n_components={rank}, X.shape={X.shape}"
            )
        if self.init == "nndsvd" and solver == "multiplicative":
            warnings.warn(
                "The multiplicative solver leaves the zeros of init='nndsvd' as they are: use "
                "init='nndsvda', or the hierarchical solver.",
                UserWarning,
                stacklevel=3,
            )
        return self.init

    def _seed(self):
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _first_components(self, X, weights, solver):
        start = self._start(X, self.n_components_, solver)
        seed = self._seed()
        return initialize(
            X, self.n_components_, start, weights=weights, observed=self.observed, seed=seed
        )[1]

    def _solve(self, X, weights):
        """Returns the codes of `X` and their loss without penalties."""
        H = self.components_.astype(X.dtype, copy=False)
        l1, l2 = (as_pair(value, name)[0] for value, name in ((self.l1, "l1"), (self.l2, "l2")))
        result = solve_rows(
            X,
            H,
            loss=self.loss,
            # The problem is convex: all solvers find the same loss, this one in the least time.
            solver="hierarchical" if self.loss == "euclidean" else "multiplicative",
            start=_row_start(X, weights, H),
            iterations=self.max_iter,
            tolerance=_ROW_TOLERANCE * self.tol,
            weights=weights,
            observed=self.observed,
            l1=l1,
            l2=l2,
        )
        codes = result.W
        penalty = l1 * codes.sum(dtype="float64") + l2 / 2 * np.square(codes).sum(dtype="float64")
        return codes, max(float(result.losses[-1] - penalty), 0.0)


def _row_start(X, weights, H):
    """Returns initial codes: equal in each row, with the sum of the row's known entries.

    A row's start does not depend on other rows, and is 0 if nothing is known.
    """
    if scipy.sparse.issparse(X):
        known = X.copy()
        known.data = np.nan_to_num(known.data, nan=0.0)
        if weights is not None:
            known = known.multiply(weights.astype(bool))
        sums = np.asarray(known.sum(axis=1)).reshape(-1, 1)
    else:
        known = ~np.isnan(X) if weights is None else ~np.isnan(X) & (weights != 0)
        sums = np.sum(X, axis=1, where=known, keepdims=True)
    total = H.sum()
    scale = 1 / total if total > 0 else 0
    return np.repeat((sums * scale).astype(X.dtype), H.shape[0], axis=1)
