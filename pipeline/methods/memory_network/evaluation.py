"""Answers the questions of a split and compares them with the truth, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ....components.base.transformed_data import TransformedData
from ....components.data.babi import parsing

BATCH = 256


def rows(
    models: Mapping[int, Any], router: Any | None, data: TransformedData, split: str
) -> Iterator[dict[str, Any]]:
    """Yields a row for each question, in the order of the files.

    Args:
        models: memory networks by task, or one for all tasks under 0.
        router: Keras model that gives a logit a task, or `None`.
        data: transformed and raw examples.
        split: string.

    Yields:
        A dict: `id`, `task`, both strings; `accuracy`, `supporting_facts` and `routed_accuracy`,
        0.0 or 1.0; for a wrong answer `details`, what `figures.draw_story` takes.
    """
    surfaces = ["", *data.asset("answers")]
    compiled = compile_models(models)
    route = compile_router(router) if router is not None else None
    for raw, transformed in parsing.raw_and_transformed(data, split, BATCH):
        decoded = [parsing.decode_raw(one) for one in raw]
        tasks = np.array([one["task"][0] for one in decoded])
        answered = answer(compiled, np.array(transformed), tasks, surfaces)
        routed = answered
        if route is not None:
            routes = find_tasks(route, models, transformed)
            astray = np.flatnonzero(routes != tasks)
            other = answer(compiled, np.array(transformed)[astray], routes[astray], surfaces)
            routed = list(answered)
            for index, found in zip(astray, other, strict=True):
                routed[index] = found
        for one, found, client in zip(decoded, answered, routed, strict=True):
            yield _row(one, found, client)


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
    parsed = parsing.model_inputs(parsing.parse(np.array(serialized)))
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
    found: list[dict[str, Any]] = [{}] * len(serialized)
    for task in np.unique(tasks):
        at = np.flatnonzero(tasks == task)
        inputs = parsing.model_inputs(parsing.parse(serialized[at]))
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
            found[index] = {
                "answer": tuple(surfaces[number] for number in ids),
                "probability": float(outputs["probability"][row]),
                "supporting_facts": [int(fact) for fact in facts if fact >= 0],
                "attention": outputs["attention"][row],
            }
    return found


def _row(raw: Mapping[str, Any], found: Mapping[str, Any], routed: Mapping[str, Any]) -> dict:
    truth = tuple(word.lower() for word in raw["answer"])
    right = _lower(found["answer"]) == truth
    facts = list(raw["supporting_facts"])
    row: dict[str, Any] = {
        "id": raw["id"][0],
        "task": str(raw["task"][0]),
        "accuracy": float(right),
        "supporting_facts": float(set(found["supporting_facts"]) == set(facts)),
        "routed_accuracy": float(_lower(routed["answer"]) == truth),
    }
    if not right:
        hops = max(len(found["supporting_facts"]), 1)
        attention = np.asarray(found["attention"], np.float64)[:hops, : len(raw["story"])]
        row["details"] = {
            "story": list(raw["story"]),
            "question": raw["question"][0],
            "answer": ", ".join(raw["answer"]),
            "predicted": ", ".join(found["answer"]),
            "probability": found["probability"],
            "supporting_facts": facts,
            "predicted_facts": found["supporting_facts"],
            "attention": np.round(attention, 3).tolist(),
        }
    return row


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)
