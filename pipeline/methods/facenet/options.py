"""What can be set of FaceNet's training, evaluation and export."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from ....components.base.parameters import HOW, Parameters

FISHER_SIZE = 66
"""Numbers of a descriptor that Fisher vectors are made of: 64 components and its place."""


class EvaluatorOptions(Parameters):
    """What is measured."""

    far: float = pydantic.Field(
        0.01, gt=0, lt=1, description="largest false accept rate of the threshold of VAL"
    )
    pairs: int = pydantic.Field(
        1000,
        ge=2,
        description="verification pairs drawn of a split that lists none, as of "
        "evaluator.split=eval; those of the split test are example_gen's",
    )
    degraded_pairs: int = pydantic.Field(
        1000, ge=0, description="pairs measured again with worse images; 0 for none"
    )
    recognized: int = pydantic.Field(
        2000, ge=0, description="images that are recognized and clustered; 0 for none"
    )


class ExporterOptions(Parameters):
    """The served threshold."""

    threshold: float = pydantic.Field(
        0.0,
        ge=0,
        le=4,
        description="largest squared distance of the same person; 0: chosen on held-out people",
    )
    far: float = pydantic.Field(
        0.0,
        ge=0,
        lt=1,
        description="false accept rate that a chosen threshold keeps; 0: best accuracy",
    )


class NetworkOptions(Parameters):
    """A network, its triplets and how it is trained."""

    network: Literal["convolutional", "fisher"] = pydantic.Field(
        "convolutional",
        description="a small network, or one matrix learned on Fisher vectors of fixed "
        "descriptors; for photographs the second is better",
    )
    embedding_size: int = pydantic.Field(128, ge=1, description="numbers of an embedding")
    mixture: int = pydantic.Field(
        128, ge=1, description="of the network fisher: Gaussians of the Fisher vectors"
    )
    strides: int = pydantic.Field(
        2, ge=1, description="of the network fisher: pixels between two descriptors"
    )
    whitened: int = pydantic.Field(
        800, ge=1, description="of the network fisher: principal components that its matrix reads"
    )
    maps: list[pydantic.PositiveInt] = pydantic.Field(
        [32, 32, 64], description="feature maps of the convolutional network's convolutions"
    )
    shrink: float = pydantic.Field(
        1.0, ge=1, le=2, description="the convolutional network sees images so many times smaller"
    )
    mirrored: bool = pydantic.Field(
        False,
        description="once it is trained, the convolutional network embeds an image and its mirror "
        "image and takes their mean",
    )
    dropout: float = pydantic.Field(
        0.3, ge=0, lt=1, description="part of the features that a step leaves out"
    )
    selection: Literal["semi_hard", "all_semi_hard", "batch_hard", "hard", "all"] = pydantic.Field(
        "semi_hard", description="which triplets of a batch are learned from"
    )
    average: Literal["active", "all"] = pydantic.Field(
        "active", description="the mean over triplets that still have a loss, or over all selected"
    )
    margin: float = pydantic.Field(
        0.2, gt=0, le=4, description="between squared distances, the paper's α"
    )
    first_margin: float = pydantic.Field(
        0.0,
        ge=0,
        le=4,
        description="the margin of the first `record_every` steps, from which it grows to "
        "`margin` in the last; 0: `margin` all the time",
    )
    people: int = pydantic.Field(32, ge=2, description="identities of a batch")
    images: int = pydantic.Field(4, ge=2, description="images of an identity in a batch")
    singles: int = pydantic.Field(
        0, ge=0, description="further images of a batch, of identities that have one only"
    )
    steps: int = pydantic.Field(600, ge=1, description="training steps")
    record_every: int = pydantic.Field(
        50, ge=1, description="steps between two measurements on held-out identities"
    )
    learning_rate: float = pydantic.Field(
        1e-3, gt=0, description="of Adam, after a short rise, then falling to 0"
    )
    augment: bool = pydantic.Field(
        True,
        description="mirror, turn, scale, shift and shade training images; the network fisher "
        "sees an image and its mirror image only",
    )

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        if self.steps % self.record_every:
            raise ValueError(
                "`steps` must be a multiple of `record_every`, so that training ends with a "
                f"measurement. Received: steps={self.steps}, record_every={self.record_every}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _enough_components(self):
        most = min(self.whitened, 2 * self.mixture * FISHER_SIZE)
        if self.network == "fisher" and self.embedding_size > most:
            raise ValueError(
                "`embedding_size` must be at most `whitened`, and both at most the "
                f"{2 * self.mixture * FISHER_SIZE} numbers of a Fisher vector. "
                f"Received: embedding_size={self.embedding_size}, whitened={self.whitened}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _growing_margin(self):
        if self.first_margin and self.first_margin >= self.margin:
            raise ValueError(
                "`first_margin` must be smaller than `margin`, to which it grows. "
                f"Received: first_margin={self.first_margin}, margin={self.margin}"
            )
        if self.first_margin and self.steps == self.record_every:
            raise ValueError(
                "With `first_margin`, `steps` must be at least twice `record_every`: the margin "
                "grows after each measurement. "
                f"Received: steps={self.steps}, record_every={self.record_every}"
            )
        return self


class TrainerOptions(NetworkOptions):
    """The network, those it is joined or compared with, and the baselines."""

    baselines: bool = pydantic.Field(
        True,
        description="eigenfaces, and a large margin metric (LMNN) learned on them, for comparison",
    )
    components: int = pydantic.Field(100, ge=1, description="principal components of the baselines")
    join: list[dict[str, Any]] = pydantic.Field(
        [],
        description="networks trained apart, whose embeddings stand beside the first one's in that "
        'of the model; each by what differs: [{"network": "fisher", "margin": 0.5}]',
    )
    compare: list[dict[str, Any]] = pydantic.Field(
        [],
        description="further networks beside the first, each by what differs: "
        '[{"selection": "all"}, {"margin": 0.5, "embedding_size": 64}]',
    )
    workers: int = pydantic.Field(
        2, ge=1, description="networks trained side by side", json_schema_extra=HOW
    )

    @pydantic.field_validator("join", "compare")
    @classmethod
    def _can_be_trained(
        cls, entries: list[dict[str, Any]], info: pydantic.ValidationInfo
    ) -> list[dict[str, Any]]:
        first = {name: info.data[name] for name in NetworkOptions.model_fields if name in info.data}
        networks = [NetworkOptions.model_validate(first | entry) for entry in entries]
        return [
            {name: getattr(network, name) for name in entry}
            for network, entry in zip(networks, entries, strict=True)
        ]

    @pydantic.model_validator(mode="after")
    def _different_networks(self) -> TrainerOptions:
        first = self.model_dump(include=set(NetworkOptions.model_fields))
        seen = [first]
        for entry in self.compare:
            values = first | entry
            if values in seen:
                known = "the first one" if values == first else "one that is named before"
                raise ValueError(
                    "The networks of `compare` must differ from the first one and from each other. "
                    f"Received: {entry}, which is {known}"
                )
            seen.append(values)
        return self
