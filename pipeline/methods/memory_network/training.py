"""How memory networks are trained: one per task and a router, or one for all tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from ....components.data.babi.stories import BabiStories, model_inputs
from ....components.data.babi.story import TASK_NAMES
from ....components.trainer.fit import Fit
from ....models.memory_network import MemoryNetwork, TaskRouter
from .networks import JOINT, ROUTER

if TYPE_CHECKING:
    from .options import TrainerOptions


def fits(parameters: TrainerOptions, data: BabiStories) -> list[Fit]:
    """One memory network per task and the router between them, or one network for all tasks."""
    if parameters.training == JOINT:
        return [memory_network_fit(JOINT, None, parameters, data)]
    members = [
        memory_network_fit(f"qa{task}", task, parameters, data) for task in data.tasks("train")
    ]
    return [*members, router_fit(data)]


def memory_network_fit(
    name: str, task: int | None, parameters: TrainerOptions, data: BabiStories
) -> Fit:
    """Returns the fit of one memory network, on one task or on all."""
    words, ngrams = data.vocabulary_sizes

    def build() -> keras.Model:
        features = data.features("train", task)
        if not parameters.ngrams:
            features = [feature for feature in features if feature <= words]
        steps = math.ceil(data.questions("train", task) / parameters.batch_size)
        model = MemoryNetwork(
            vocabulary_size=words + ngrams,
            words=words,
            features=features,
            embedding_dim=parameters.embedding_dim,
            adaptive=parameters.adaptive,
            nonlinear=parameters.nonlinear,
            margin=parameters.margin,
            fact_dropout=parameters.fact_dropout,
        )
        decay = keras.optimizers.schedules.CosineDecay(
            parameters.learning_rate, parameters.epochs * steps
        )
        # XLA on a CPU compiles once a bucket of story lengths, which costs more than it saves.
        model.compile(optimizer=keras.optimizers.Adam(decay), jit_compile=False)
        return model

    def batches(split: str, seed: int | None = None) -> tf.data.Dataset:
        return data.batches(split, parameters.batch_size, task, seed).map(model_inputs)

    has_eval = data.questions("eval", task) > 0
    return Fit(
        name=name,
        build=build,
        train=lambda: batches("train", seed=0),
        validation=(lambda: batches("eval")) if has_eval else None,
        epochs=parameters.epochs,
        monitor="val_loss" if has_eval else "loss",
    )


def router_fit(data: BabiStories) -> Fit:
    """Returns the fit of the classifier that tells a question's task when a client does not."""

    def build() -> keras.Model:
        model = TaskRouter(vocabulary_size=sum(data.vocabulary_sizes), tasks=len(TASK_NAMES))
        model.compile(
            optimizer=keras.optimizers.Adam(0.02),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )
        return model

    def labelled(parsed):
        inputs = {name: tf.cast(parsed[name], tf.int32) for name in ("story", "question")}
        return inputs, parsed["task"] - 1

    return Fit(
        name=ROUTER,
        build=build,
        train=lambda: data.batches("train", 128, seed=0).map(labelled),
        epochs=5,
        monitor="loss",
    )
