"""What folding did."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Folded:
    """A batch normalization that was folded.

    Attributes:
        batch_norm: its path: the names of the nested models and of the layer, joined by `/`.
        into: the path of the linear layer that it was folded into.
        position: `"follows"` or `"precedes"`: where it stood, relative to that layer.
    """

    batch_norm: str
    into: str
    position: str


@dataclasses.dataclass(frozen=True)
class LeftAlone:
    """A batch normalization that was not folded.

    Attributes:
        batch_norm: its path.
        reason: why it could not be folded.
    """

    batch_norm: str
    reason: str


@dataclasses.dataclass(frozen=True)
class FoldReport:
    """What `fold_batch_norm` folded, and what it left alone and why.

    Printed, it is a table; `as_dict()` has the same facts as plain JSON values.

    Attributes:
        model: the model's name.
        folded: a `Folded` for each pair of a batch normalization and a layer that it was folded
            into; one that is shared, or feeds several layers, has several.
        left_alone: a `LeftAlone` for each batch normalization that was not folded.
    """

    model: str
    folded: tuple[Folded, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()

    @property
    def number_folded(self) -> int:
        """The number of batch normalization layers that were folded."""
        return len({fold.batch_norm for fold in self.folded})

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as dictionaries, lists, strings and numbers."""
        return {
            "model": self.model,
            "number_folded": self.number_folded,
            "folded": [dataclasses.asdict(fold) for fold in self.folded],
            "left_alone": [dataclasses.asdict(left) for left in self.left_alone],
        }

    def __str__(self) -> str:
        total = self.number_folded + len(self.left_alone)
        title = f"{self.model}: {self.number_folded} of {total} batch normalizations folded"
        rows = [(fold.batch_norm, fold.position, fold.into) for fold in self.folded]
        rows += [(left.batch_norm, "left alone", left.reason) for left in self.left_alone]
        if not rows:
            return title
        first = max(len(row[0]) for row in rows)
        return "\n".join([title, *(f"  {a:{first}}  {b:10}  {c}" for a, b, c in rows)])
