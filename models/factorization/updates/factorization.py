"""The result of a factorization, and the call of its compiled loop."""

import dataclasses
import operator
from typing import Any

import numpy as np
from keras import ops

from .iteration import CONVERGED, REFUSED, alternation
from .losses import check_loss
from .reading import Reading

SOLVERS = ("multiplicative", "hierarchical", "additive")
REASONS = {CONVERGED: "tolerance", REFUSED: "guard"}


@dataclasses.dataclass(frozen=True)
class Factorization:
    """The result of `factorize`.

    Attributes:
        W: array (n, rank).
        H: array (rank, m).
        losses: float64 array, the objective at the start and after each evaluated iteration; it
            never rises beyond rounding.
        iterations: int, the iterations that ran, including a rejected one.
        stopped: `"iterations"`: all of them ran. `"tolerance"`: the objective no longer falls.
            `"guard"`: an iteration would have raised the objective, and its result was discarded.
    """

    W: np.ndarray
    H: np.ndarray
    losses: np.ndarray
    iterations: int
    stopped: str


def check_solver(solver: str, loss: str) -> None:
    """Raises an error unless the solver is known and supports the loss."""
    check_loss(loss)
    if solver not in SOLVERS:
        raise ValueError(f"`solver` should be one of {', '.join(SOLVERS)}. Received: {solver!r}")
    if solver == "hierarchical" and loss != "euclidean":
        raise ValueError(
            'The hierarchical solver supports only the loss "euclidean"; use "multiplicative" for '
            f"the divergence. Received: loss={loss!r}"
        )


def run(
    reading: Reading,
    matrix: tuple[type, tuple, dict[str, Any]],
    W: np.ndarray,
    H: np.ndarray,
    *,
    loss: str,
    solver: str,
    rows_only: bool,
    iterations: int,
    tolerance: float,
    penalties: tuple[float, ...],
    learning_rate: float | None,
    evaluate_every: int,
) -> Factorization:
    """Returns the `Factorization` of a `Reading`.

    Args:
        reading: `Reading` of V.
        matrix: its `matrix()`.
        W: initial array (n, r).
        H: initial array (r, m).
        loss: as in `factorize`.
        solver: as in `factorize`.
        rows_only: whether H is fixed.
        iterations: as in `factorize`.
        tolerance: as in `factorize`.
        penalties: four floats, l1 of W and of H, l2 of W and of H.
        learning_rate: as in `factorize`.
        evaluate_every: as in `factorize`.
    """
    check_solver(solver, loss)
    if learning_rate is not None and (solver != "additive" or not learning_rate > 0):
        raise ValueError(
            "`learning_rate` should be positive and goes with the additive solver only. "
            f"Received: learning_rate={learning_rate} and solver={solver!r}"
        )
    iterations, every = operator.index(iterations), operator.index(evaluate_every)
    if iterations < 0 or every < 1:
        raise ValueError(
            "`iterations` should be at least 0 and `evaluate_every` at least 1. "
            f"Received: {iterations} and {every}"
        )
    matrix_class, settings, tensors = matrix
    loop = alternation(matrix_class, settings, loss, solver, rows_only, every, not any(penalties))
    places = -(-iterations // every) + 1
    buffer = np.full(max(64, 1 << (places - 1).bit_length()), np.nan)
    W, G, objectives, count, status = loop(
        tensors,
        ops.convert_to_tensor(W),
        ops.convert_to_tensor(np.ascontiguousarray(H.T)),
        ops.convert_to_tensor(buffer),
        ops.convert_to_tensor(iterations, dtype="int32"),
        ops.convert_to_tensor(tolerance, dtype="float64"),
        ops.convert_to_tensor(learning_rate or 0.0, dtype=reading.dtype),
        ops.convert_to_tensor(penalties, dtype=reading.dtype),
    )
    objectives = ops.convert_to_numpy(objectives)
    W = ops.convert_to_numpy(W)
    if not rows_only:
        H = np.ascontiguousarray(ops.convert_to_numpy(G).T)
    return Factorization(
        W=W,
        H=H,
        losses=objectives[~np.isnan(objectives)],
        iterations=int(count),
        stopped=REASONS.get(int(status), "iterations"),
    )
