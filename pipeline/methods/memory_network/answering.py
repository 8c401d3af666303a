"""Answers transformed questions, each with the network of its task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ....components.data.babi import stories
from .networks import JOINT, ROUTER


def answering_models(models: Mapping[str, keras.Model]) -> dict[int, keras.Model]:
    """Returns the memory networks by task; 0 is one for all tasks."""
    return {
        0 if name == JOINT else int(name.removeprefix("qa")): model
        for name, model in models.items()
        if name != ROUTER
    }


def compile_models(models: Mapping[int, Any]) -> dict[int, Any]:
    """Returns a `tf.function` for each memory network, traced once for all shapes."""
    specs = {
        "story": tf.TensorSpec([None, None, None], tf.int32),
        "question": tf.TensorSpec([None, None], tf.int32),
        "write_time": tf.TensorSpec([None, None], tf.int32),
    }
    return {task: _compiled(model, specs) for task, model in models.items()}


def compile_router(router: Any) -> Any:
    """Returns a `tf.function` for the router, traced once for all shapes."""
    return _compiled(
        router,
        {
            "story": tf.TensorSpec([None, None, None], tf.int32),
            "question": tf.TensorSpec([None, None], tf.int32),
        },
    )


def _compiled(model: Any, specs: Mapping[str, tf.TensorSpec]) -> Any:
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[specs])


def find_tasks(route: Any, tasks: Iterable[int], serialized: Sequence[bytes]) -> np.ndarray:
    """Returns the task, one of `tasks`, that the router finds for each transformed example."""
    parsed = stories.model_inputs(stories.parse(np.array(serialized)))
    logits = route({name: parsed[name] for name in ("story", "question")}).numpy()
    known = np.array(sorted(tasks))
    return known[np.argmax(logits[:, known - 1], axis=1)]


def answer(
    compiled: Mapping[int, Any], serialized: np.ndarray, tasks: np.ndarray, surfaces: list[str]
) -> list[dict[str, Any]]:
    """Answers transformed examples, each with the model of the task given for it.

    Args:
        compiled: what `compile_models` returns.
        serialized: bytes array `(B,)`.
        tasks: integer array `(B,)`.
        surfaces: the words as answers write them, by id.

    Returns:
        A list of dicts with `answer` (tuple of words), `probability`, `supporting_facts` (list)
        and `attention` (array `(H, S)`).
    """
    answers: list[dict[str, Any]] = [{}] * len(serialized)
    for task in np.unique(tasks):
        at = np.flatnonzero(tasks == task)
        inputs = stories.model_inputs(stories.parse(serialized[at]))
        asked = {name: inputs[name] for name in ("story", "question", "write_time")}
        model = compiled[0] if 0 in compiled else compiled.get(int(task))
        if model is None:
            raise ValueError(
                f"Each task needs a model; train with this task too. Received: task {task}, "
                f"models for {sorted(compiled)}"
            )
        outputs = {name: value.numpy() for name, value in model(asked).items()}
        for row, index in enumerate(at):
            ids = [int(number) for number in outputs["answer"][row] if number > 0]
            facts = outputs["supporting_facts"][row]
            answers[index] = {
                "answer": tuple(surfaces[number] for number in ids),
                "probability": float(outputs["probability"][row]),
                "supporting_facts": [int(fact) for fact in facts if fact >= 0],
                "attention": outputs["attention"][row],
            }
    return answers
