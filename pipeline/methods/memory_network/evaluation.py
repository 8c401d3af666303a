"""Answers the questions of a split and compares them with the truth, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ....components.data.babi import stories
from ....components.data.babi.stories import BabiStories
from .answering import answer, answering_models, compile_models, compile_router, find_tasks
from .networks import ROUTER

BATCH = 256


def evaluate(
    models: Mapping[str, Any], data: BabiStories, split: str, parameters: Any = None
) -> Iterator[dict[str, Any]]:
    """Yields a row for each question, in the order of the files.

    Args:
        models: memory networks, one per task or one for all, and maybe the router, by fit.
        data: stories.
        split: string.
        parameters: of the Evaluator.

    Yields:
        A dict: `id`, `task`, both strings; `accuracy`, `supporting_facts` and `routed_accuracy`,
        0.0 or 1.0; for a wrong answer `details`, what `figures.draw_story` takes.
    """
    surfaces = ["", *data.asset("answers")]
    answering = answering_models(models)
    compiled = compile_models(answering)
    route = compile_router(models[ROUTER]) if ROUTER in models else None
    for raw, transformed in data.raw_and_transformed(split, BATCH):
        decoded = [stories.decode_raw(example) for example in raw]
        tasks = np.array([example["task"][0] for example in decoded])
        answered = answer(compiled, np.array(transformed), tasks, surfaces)
        routed = answered
        if route is not None:
            routes = find_tasks(route, answering, transformed)
            astray = np.flatnonzero(routes != tasks)
            rerouted = answer(compiled, np.array(transformed)[astray], routes[astray], surfaces)
            routed = list(answered)
            for index, reply in zip(astray, rerouted, strict=True):
                routed[index] = reply
        for example, reply, routed_reply in zip(decoded, answered, routed, strict=True):
            yield _row(example, reply, routed_reply)


def _row(raw: Mapping[str, Any], answered: Mapping[str, Any], routed: Mapping[str, Any]) -> dict:
    truth = tuple(word.lower() for word in raw["answer"])
    right = _lower(answered["answer"]) == truth
    facts = list(raw["supporting_facts"])
    row: dict[str, Any] = {
        "id": raw["id"][0],
        "task": str(raw["task"][0]),
        "accuracy": float(right),
        "supporting_facts": float(set(answered["supporting_facts"]) == set(facts)),
        "routed_accuracy": float(_lower(routed["answer"]) == truth),
    }
    if not right:
        hops = max(len(answered["supporting_facts"]), 1)
        attention = np.asarray(answered["attention"], np.float64)[:hops, : len(raw["story"])]
        row["details"] = {
            "story": list(raw["story"]),
            "question": raw["question"][0],
            "answer": ", ".join(raw["answer"]),
            "predicted": ", ".join(answered["answer"]),
            "probability": answered["probability"],
            "supporting_facts": facts,
            "predicted_facts": answered["supporting_facts"],
            "attention": np.round(attention, 3).tolist(),
        }
    return row


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)
