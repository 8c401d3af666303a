"""The triplet loss of FaceNet (arXiv 1503.03832, section 3.1) and its choices of triplets."""

from typing import Any

import keras
from keras import ops

from ...checks import is_real
from ...types import Tensor
from .batch_checks import check_one_label_each, check_vectors, integer_labels
from .distances import squared_distances
from .triplet_selection import (
    SELECTIONS,
    active_counts,
    farthest_positives,
    identities,
    nearest_farther_negatives,
    nearest_negatives,
    pair_masks,
)

AVERAGES = ("active", "all")


@keras.saving.register_keras_serializable(package="methodical")
class TripletLoss(keras.losses.Loss):
    """The triplet loss over triplets selected from the batch: online selection.

    `loss = mean of max(0, ‖a − p‖² − ‖a − n‖² + α)` over triplets of an anchor a, a positive p of
    its identity and a negative n of another (sections 3.1 and 3.2). `selection` chooses the
    triplets:

    - `"semi_hard"`, the paper's: for each pair of anchor and positive the nearest negative that is
      farther than the positive; its loss is above 0 where it is within the margin (equation 4).
      If no negative is farther, the farthest one: these pairs are the worst of all, and without
      them a collapsed embedding would have a loss of 0.
    - `"hard"`: for each pair the anchor's nearest negative. It can collapse early in training.
    - `"batch_hard"`: for each anchor its farthest positive and its nearest negative (Hermans et
      al., equation 5).
    - `"all"`: every triplet.
    - `"all_semi_hard"`: every triplet with `‖a − p‖² < ‖a − n‖² < ‖a − p‖² + α`.

    Only pairs are held, in O(B²) memory: the 100 million triplets of 1,800 images are summed
    exactly. With K images of the largest identity it takes O(B²K) time. A batch without a triplet
    (no positive pair, a single identity, no images) has loss 0 and gradient 0, and identical images
    have a finite gradient.

    Example:

    ```python
    model = keras.Sequential([keras.Input((2,)), UnitEmbedding(8)])
    model.compile("adagrad", loss=TripletLoss(margin=0.2))  # embeddings (B, D), labels (B,)
    loss = TripletLoss(margin=0.5, selection="all")
    points = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6]])
    loss(np.array([0, 0, 1]), points)  # both triplets: 0 − 0.4 + 0.5 = 0.1
    ```

    Args:
        margin: float in (0, 4], the paper's α; or `"soft"`: `log(1 + exp(‖a − p‖² − ‖a − n‖²))` in
            place of the hinge (Hermans et al.), for selections with one triplet per pair or per
            anchor. The attribute `margin` may be set between the epochs of a training; see
            `MarginSchedule`. Defaults to 0.2.
        selection: string, see above. Defaults to `"semi_hard"`.
        average: the triplets that the mean is taken over: `"active"`, those whose loss is above 0,
            so that the loss does not vanish as they become rare, or `"all"` selected ones. Defaults
            to `"active"`.
        reduction: as in `keras.losses.Loss`. Without reduction, each anchor has the sum over its
            triplets, times B and divided by the number of triplets that the mean is taken over, so
            that the mean over the anchors is the loss. Sample weights apply to anchors. Defaults to
            `"sum_over_batch_size"`.
        name: string. Defaults to `"triplet_loss"`.
        dtype: `"float32"` or `"float64"`, of the distances; the embeddings may have any dtype.
            Defaults to `"float32"`.

    Call arguments:
        y_true: integer tensor `(B,)` or `(B, 1)`, the identities. Below 0: an unknown person, who
            is a negative for everybody and a positive for nobody.
        y_pred: float tensor `(B, D)`, the embeddings, of unit length (`UnitEmbedding`).

    Raises:
        ValueError: for an unknown option; when called, for labels that are not integers of that
            shape, for embeddings of another number of dimensions, and unless there is one label per
            embedding.

    References:
        Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv 1503.03832.
        Hermans, Beyer & Leibe 2017, In Defense of the Triplet Loss, arXiv 1703.07737.
    """

    def __init__(
        self,
        margin: float | str = 0.2,
        selection: str = "semi_hard",
        average: str = "active",
        reduction: str | None = "sum_over_batch_size",
        name: str = "triplet_loss",
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if selection not in SELECTIONS:
            raise ValueError(
                f"`selection` must be one of {SELECTIONS}. Received: selection={selection!r}"
            )
        if average not in AVERAGES:
            raise ValueError(f"`average` must be one of {AVERAGES}. Received: average={average!r}")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(
                "`dtype` must be float32 or float64: distances of half precision do not resolve a "
                f"margin. Embeddings may have any dtype. Received: dtype={dtype!r}"
            )
        self.selection = selection
        self.average = average
        self._variable = None
        if margin == "soft":
            if selection.startswith("all"):
                raise ValueError(
                    "A soft margin needs one triplet per pair or anchor: `selection` must be "
                    f"'semi_hard', 'hard' or 'batch_hard'. Received: selection={selection!r}"
                )
            self._margin: float | str = margin
        else:
            _check_margin(margin)
            self._margin = float(margin)
            self._variable = keras.Variable(
                self._margin, dtype=self.dtype, trainable=False, name="margin"
            )

    @property
    def margin(self) -> float | str:
        """α, a float or `"soft"`; a new number takes effect in the next training step."""
        return self._margin

    @margin.setter
    def margin(self, value: float) -> None:
        if self._variable is None:
            raise ValueError(f"A soft margin has no number to change. Received: margin={value!r}")
        _check_margin(value)
        self._margin = float(value)
        self._variable.assign(self._margin)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Returns the reduced loss."""
        loss = super().__call__(identities(integer_labels(y_true)), y_pred, sample_weight)
        if tuple(loss.shape) == (0,) and self.reduction not in (None, "none"):
            return ops.sum(loss)
        return loss

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the losses `(B,)` of the anchors, scaled so that their mean is the batch's."""
        labels = identities(y_true)
        check_vectors(y_pred)
        check_one_label_each(labels, y_pred)
        distances = squared_distances(y_pred)
        take = self._take_all if self.selection.startswith("all") else self._take_chosen
        sums, active, taken = take(distances, labels)
        number = ops.sum(active if self.average == "active" else taken)
        batch = ops.cast(ops.shape(distances)[0], sums.dtype)
        # Not `divide_no_nan`: without triplets the sums are 0, unless an embedding is NaN.
        return sums * batch / ops.maximum(number, 1.0)

    def _take_all(self, distances, labels):
        """Sums the hinge over all triplets; the sum is linear for fixed active triplets.

        `Σ_active d(a, p) − d(a, n) + α = Σ_j count(a, j) d(a, j) + α · active`. The distances are
        centered against rounding, which changes nothing since a row's counts sum to 0.
        """
        dtype = distances.dtype
        margin = ops.cast(self._variable, dtype)
        semi_hard = self.selection == "all_semi_hard"
        counts = active_counts(distances, labels, margin, semi_hard)
        active = ops.sum(ops.relu(counts), axis=1)
        center = ops.stop_gradient(ops.mean(distances, axis=1, keepdims=True))
        sums = ops.sum(counts * (distances - center), axis=1) + margin * active
        if semi_hard:
            return sums, active, active
        positive, negative = (ops.cast(mask, dtype) for mask in pair_masks(labels))
        return sums, active, ops.sum(positive, axis=1) * ops.sum(negative, axis=1)

    def _take_chosen(self, distances, labels):
        """Sums over one triplet per positive pair, or per anchor."""
        positive, negative = pair_masks(labels)
        mask = ops.logical_and(positive, ops.any(negative, axis=1, keepdims=True))
        to_positive = distances
        if self.selection == "semi_hard":
            index = nearest_farther_negatives(distances, labels)
            to_negative = ops.take_along_axis(distances, index, axis=1)
        else:
            to_negative = _entry(distances, nearest_negatives(distances, labels))
        if self.selection == "batch_hard":
            to_positive = _entry(distances, farthest_positives(distances, labels))
            mask = ops.any(mask, axis=1, keepdims=True)
        difference = to_positive - to_negative
        if self._variable is None:
            losses = ops.softplus(difference)
        else:
            losses = ops.relu(difference + ops.cast(self._variable, difference.dtype))
        losses = ops.where(mask, losses, ops.zeros_like(losses))
        taken = ops.sum(ops.cast(mask, losses.dtype), axis=1)
        active = ops.sum(ops.cast(losses > 0, losses.dtype), axis=1)
        return ops.sum(losses, axis=1), active, taken

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, with the current margin."""
        config = {"margin": self.margin, "selection": self.selection, "average": self.average}
        return {**super().get_config(), **config, "dtype": self.dtype}


def _entry(distances, index):
    """Returns the distance at one index of each row `(B, 1)`; an empty batch is allowed."""
    columns = ops.arange(ops.shape(distances)[0], dtype="int32")[None, :]
    kept = ops.where(columns == index, distances, ops.zeros_like(distances))
    return ops.sum(kept, axis=1, keepdims=True)


def _check_margin(margin):
    if not is_real(margin) or not 0 < margin <= 4:
        raise ValueError(
            "`margin` must be 'soft' or a number in (0, 4], as squared distances of unit vectors "
            f"are in [0, 4]. Received: margin={margin!r}"
        )
