"""Verification: is it the same person? Accuracy over folds, VAL at a FAR, ROC, equal error rate."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MOST_FOLDS = 10
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class ReceiverOperatingCharacteristic:
    """The rates of accepted pairs at each threshold, ascending, from none to all pairs.

    Args:
        false_accept_rates: float64 (T,), share of the different pairs at or below the threshold.
        true_accept_rates: float64 (T,), the same share of the same pairs.
        thresholds: float64 (T,): one just below the least distance, then every distinct distance.
    """

    false_accept_rates: np.ndarray
    true_accept_rates: np.ndarray
    thresholds: np.ndarray


@dataclasses.dataclass(frozen=True)
class Verification:
    """How well distances tell pairs of the same person from pairs of different persons.

    Args:
        accuracy: float in [0, 1], mean of `fold_accuracies`.
        accuracy_standard_deviation: float, of the folds' accuracies, with F - 1 in its denominator.
        accuracy_standard_error: float, that over the root of F: the ± of the field's tables.
        folds: int64 (F,), the folds' numbers, ascending: the order of the next two.
        fold_accuracies: float64 (F,).
        fold_thresholds: float64 (F,), each chosen on the other folds.
        correct: bool (N,), whether its fold's threshold classifies the pair correctly.
        threshold: float, the best on all pairs.
        roc: `ReceiverOperatingCharacteristic`.
        equal_error_rate: float, where the false accept and the false reject rate meet.
        equal_error_threshold: float, the threshold there.
        area_under_curve: float in [0, 1], of the true over the false accept rate: the chance that a
            same pair is nearer than a different one.
    """

    accuracy: float
    accuracy_standard_deviation: float
    accuracy_standard_error: float
    folds: np.ndarray
    fold_accuracies: np.ndarray
    fold_thresholds: np.ndarray
    correct: np.ndarray
    threshold: float
    roc: ReceiverOperatingCharacteristic
    equal_error_rate: float
    equal_error_threshold: float
    area_under_curve: float


@dataclasses.dataclass(frozen=True)
class ValAtFar:
    """The validation rate at a false accept rate.

    Args:
        val: float in [0, 1], share of the same pairs that are accepted.
        far: float, the requested false accept rate.
        threshold: float.
        low: float, lower end of the exact 95 % interval of `val`.
        high: float, its upper end.
        attained_far: float, the false accept rate at the threshold, at most `far`.
        same_pairs: int, pairs of the same person: the denominator of `val`.
        different_pairs: int, pairs of different persons: that of `attained_far`.
        warning: str, why the requested rate cannot be distinguished from 0, or "".
    """

    val: float
    far: float
    threshold: float
    low: float
    high: float
    attained_far: float
    same_pairs: int
    different_pairs: int
    warning: str


def verify(distances: ArrayLike, same: ArrayLike, folds: ArrayLike | None = None) -> Verification:
    """Returns the measures of verification, deterministic and in float64.

    A pair is accepted as the same person if its distance is at most the threshold. Each fold's
    accuracy is measured at the threshold that is best on all other folds (section 5.6), chosen
    among all thresholds, not on a grid.

    Args:
        distances: float array (N,), squared distances of the pairs; any measure that grows with the
            distance does. Give similarities their negative.
        same: bool array (N,), whether the pair is of the same person.
        folds: int array (N,), the fold of each pair, or `None` for at most ten folds to which the
            same pairs and the different pairs are assigned in turn.

    Returns:
        `Verification`.

    Raises:
        ValueError: for distances that are not finite, for pairs of one kind only, and if all pairs
            outside of a fold are of one kind.

    Warns:
        UserWarning: if the area under the curve is below 0.5: same pairs are farther than different
            ones, as with similarities in place of distances.

    Example:

    >>> measures = verify([0.1, 0.3, 1.2, 1.5], [True, True, False, False], [0, 1, 0, 1])
    >>> measures.accuracy, measures.threshold
    (1.0, 0.75)
    """
    distances, same = _checked_pairs(distances, same)
    folds = _turns(same) if folds is None else _checked_folds(folds, distances)
    order = np.argsort(distances, kind="stable")
    sorted_distances, sorted_same, sorted_folds = distances[order], same[order], folds[order]
    names = np.unique(folds)
    thresholds, accuracies = np.empty(names.size), np.empty(names.size)
    correct = np.empty(distances.size, dtype=bool)
    for index, name in enumerate(names):
        outside = sorted_folds != name
        if len(set(sorted_same[outside].tolist())) < 2:
            raise ValueError(
                "Expected same and different pairs in the folds that choose a fold's threshold. "
                f"Received: {int(sorted_same[outside].sum())} same and "
                f"{int((~sorted_same[outside]).sum())} different pairs outside fold {name}"
            )
        thresholds[index] = _best_threshold(sorted_distances[outside], sorted_same[outside])
        inside = folds == name
        correct[inside] = (distances[inside] <= thresholds[index]) == same[inside]
        accuracies[index] = correct[inside].mean()
    deviation = float(accuracies.std(ddof=1))
    roc, false_accepts, true_accepts = _curve(sorted_distances, sorted_same)
    trapezia = np.diff(false_accepts) * (true_accepts[1:] + true_accepts[:-1]) / 2
    area = float(trapezia.sum() / (false_accepts[-1] * true_accepts[-1]))
    if area < 0.5:
        warnings.warn(
            "Pairs of the same person must be nearer than those of different persons; give "
            "similarities their negative. "
            f"Received: distances with an area of {area:.3f} under the ROC, less than chance",
            UserWarning,
            stacklevel=2,
        )
    rate, rate_threshold = _equal_error(roc, false_accepts, true_accepts)
    return Verification(
        accuracy=float(accuracies.mean()),
        accuracy_standard_deviation=deviation,
        accuracy_standard_error=deviation / float(np.sqrt(names.size)),
        folds=names,
        fold_accuracies=accuracies,
        fold_thresholds=thresholds,
        correct=correct,
        threshold=_best_threshold(sorted_distances, sorted_same),
        roc=roc,
        equal_error_rate=rate,
        equal_error_threshold=rate_threshold,
        area_under_curve=area,
    )


def best_threshold(distances: ArrayLike, same: ArrayLike) -> float:
    """Returns the threshold, a float, that misclassifies the fewest pairs.

    It is the middle of the gap between two neighboring distances; of equally good gaps it is the
    widest, then the lowest.

    Args:
        distances: float array (N,).
        same: bool array (N,).

    Raises:
        ValueError: for distances that are not finite and for pairs of one kind only.
    """
    distances, same = _checked_pairs(distances, same)
    order = np.argsort(distances, kind="stable")
    return _best_threshold(distances[order], same[order])


def val_at_far(distances: ArrayLike, same: ArrayLike, far: float = 1e-3) -> ValAtFar:
    """Returns the validation rate at a false accept rate.

    Section 4, equations 5 and 6: with `TA(d)` the same and `FA(d)` the different pairs whose
    distance is at most `d`,

    ```
    VAL(d) = |TA(d)| / |P_same|        FAR(d) = |FA(d)| / |P_diff|
    ```

    The threshold is the largest one with `FAR(d) <= far`: it lies in the middle between the last
    accepted pair and the first different pair that must be rejected. The interval is the exact
    binomial one (Clopper and Pearson) of the accepted same pairs, for independent pairs and a given
    threshold. The paper's ± is the standard error of the mean of ten splits.

    Args:
        distances: float array (N,).
        same: bool array (N,).
        far: float in [0, 1]. Defaults to 1e-3, the paper's.

    Returns:
        `ValAtFar`; its `warning` is not empty if there are fewer than `1 / far` different pairs.

    Raises:
        ValueError: for a rate outside [0, 1], for distances that are not finite and for pairs of
            one kind only.
    """
    import scipy.stats

    if not 0 <= far <= 1:
        raise ValueError(f"Expected a false accept rate in [0, 1]. Received: far={far}")
    distances, same = _checked_pairs(distances, same)
    different = np.sort(distances[~same])
    count = min(int(far * different.size) + 1, different.size)
    while count / different.size > far:
        count -= 1
    limit = different[count] if count < different.size else np.inf
    accepted = distances < limit
    last = distances[accepted].max() if accepted.any() else -np.inf
    trues = int((accepted & same).sum())
    total = int(same.sum())
    interval = scipy.stats.binomtest(trues, total).proportion_ci(CONFIDENCE, method="exact")
    warning = ""
    if far * different.size < 1:
        warning = (
            f"A false accept rate of {far:g} cannot be measured with {different.size} different "
            f"pairs: the threshold lets none of them through"
        )
    return ValAtFar(
        val=trues / total,
        far=float(far),
        threshold=float(_middle(last, limit)),
        low=float(interval.low),
        high=float(interval.high),
        attained_far=float((accepted & ~same).sum() / different.size),
        same_pairs=total,
        different_pairs=int(different.size),
        warning=warning,
    )


def folds_in_turn(same: ArrayLike) -> np.ndarray:
    """Returns a fold per pair: at most ten folds, to which the pairs of each kind go in turn.

    There are at most as many folds as pairs of the rarer kind, so that each fold has both kinds. If
    there are fewer than two such pairs, all pairs are in one fold, which `verify` rejects.

    Args:
        same: bool array (N,).

    Returns:
        int64 array (N,), from 0.

    Example:

    >>> folds_in_turn([True, True, False, False])
    array([0, 1, 0, 1])
    """
    same = np.asarray(same, dtype=bool)
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    number = max(1, min(MOST_FOLDS, *(kind.size for kind in kinds)))
    folds = np.empty(same.size, dtype="int64")
    for kind in kinds:
        folds[kind] = np.arange(kind.size) % number
    return folds


def _checked_pairs(distances: Any, same: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 distances and bools, both (N,), of pairs of both kinds."""
    distances, flags = np.asarray(distances, dtype="float64"), np.asarray(same)
    if distances.ndim != 1 or flags.shape != distances.shape:
        raise ValueError(
            "Expected one distance and one `same` per pair, both (N,). "
            f"Received: shapes {distances.shape} and {flags.shape}"
        )
    invalid = np.flatnonzero(~np.isfinite(distances))
    if invalid.size:
        raise ValueError(
            "Expected finite distances. "
            f"Received: {distances[invalid[0]]} for pair {invalid[0]}, {invalid.size} in all"
        )
    same = flags.astype(bool)
    if not np.array_equal(same, flags):
        raise ValueError(
            "Expected True or False (1 or 0) for each pair. "
            f"Received: same={flags[same != flags][0]}"
        )
    if same.all() or not same.any():
        raise ValueError(
            "Expected pairs of the same person and pairs of different persons. "
            f"Received: {int(same.sum())} same and {int((~same).sum())} different pairs"
        )
    return distances, same


def _checked_folds(folds: Any, distances: np.ndarray) -> np.ndarray:
    """Returns int folds (N,)."""
    folds = np.asarray(folds)
    if folds.shape != distances.shape or not np.issubdtype(folds.dtype, np.integer):
        raise ValueError(
            f"Expected one int fold per pair, for {distances.size} pairs. "
            f"Received: shape {folds.shape} of {folds.dtype}"
        )
    if np.unique(folds).size < 2:
        raise ValueError(
            "Expected at least two folds, since a fold's threshold is chosen on the other folds. "
            f"Received: fold {folds[0]} alone"
        )
    return folds.astype("int64")


def _turns(same: np.ndarray) -> np.ndarray:
    """Returns at least two folds (N,)."""
    numbers = int(same.sum()), int((~same).sum())
    if min(numbers) < 2:
        raise ValueError(
            "Expected at least two same and two different pairs. "
            f"Received: {numbers[0]} same and {numbers[1]} different pairs"
        )
    return folds_in_turn(same)


def _middle(low, high):
    """Returns the middle of [low, high), or a bound if there is none or a side is infinite."""
    if np.isinf(high):
        return low
    if np.isinf(low):
        return np.nextafter(high, low)
    middle = low + (high - low) / 2
    return middle if middle < high else low


def _best_threshold(distances, same):
    """As `best_threshold`, for ascending distances."""
    last = np.flatnonzero(np.append(distances[1:] > distances[:-1], True))
    right = np.cumsum(np.where(same, 1, -1))[last]
    edges = distances[last]
    # Beside the gaps between distances: accept nothing (before the first), or all (after the last).
    gains = np.concatenate([[0], right])
    widths = np.concatenate([[-1.0], np.diff(edges), [-1.0]])
    best = np.flatnonzero(gains == gains.max())
    chosen = best[np.argmax(widths[best])]
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    return float(_middle(bounds[chosen], bounds[chosen + 1]))


def _curve(distances, same):
    """Returns the curve, and the false and the true accepts as counts (T,)."""
    last = np.flatnonzero(np.append(distances[1:] > distances[:-1], True))
    true_accepts = np.concatenate([[0], np.cumsum(same)[last]])
    false_accepts = np.concatenate([[0], np.cumsum(~same)[last]])
    thresholds = np.concatenate([[np.nextafter(distances[0], -np.inf)], distances[last]])
    roc = ReceiverOperatingCharacteristic(
        false_accepts / false_accepts[-1], true_accepts / true_accepts[-1], thresholds
    )
    return roc, false_accepts, true_accepts


def _equal_error(roc, false_accepts, true_accepts):
    """Returns the equal error rate and its threshold, on the line between two points."""
    rejects = true_accepts[-1] - true_accepts
    excess = false_accepts * true_accepts[-1] - rejects * false_accepts[-1]
    after = int(np.argmax(excess >= 0))
    if excess[after] == 0:
        even = np.flatnonzero(excess == 0)[-1] + 1
        upper = roc.thresholds[even] if even < excess.size else np.inf
        return float(roc.false_accept_rates[after]), float(_middle(roc.thresholds[after], upper))
    part = excess[after - 1] / (excess[after - 1] - excess[after])
    between = [
        float(values[after - 1] + part * (values[after] - values[after - 1]))
        for values in (roc.false_accept_rates, roc.thresholds)
    ]
    return between[0], between[1]
