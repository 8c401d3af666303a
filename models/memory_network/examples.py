"""Tiny instances of the layers, losses and models, for the conformance suite."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..layer_example import LayerExample
from .bag_of_features import BagOfFeatures
from .losses import MarginRankingLoss, PairwiseMarginRankingLoss
from .matching import Matching
from .memory_network import MemoryNetwork
from .response import Response
from .supporting_facts import SupportingFacts
from .task_router import TaskRouter
from .write_time import NOW, WriteTime

WORDS = 9
VOCABULARY = 12
SENTENCES = 4
NO_GRADIENT = {"fit": "The choice of facts has no gradient: the model trains it by `ranking`."}


def _ids(generator, *shape):
    """Returns feature ids, some of them padding at the end."""
    ids = generator.integers(1, VOCABULARY + 1, shape)
    ids[..., -1] *= generator.integers(0, 2, shape[:-1])
    return ids.astype("int32")


def stories(batch: int, targets: bool = True) -> dict[str, np.ndarray]:
    """Returns seeded stories, the second half of them one sentence shorter."""
    generator = np.random.default_rng(7)
    story = _ids(generator, batch, SENTENCES, 3)
    story[batch // 2 :, -1] = 0
    inputs = {
        "story": story,
        "question": _ids(generator, batch, 3),
        "write_time": np.tile(np.arange(1, SENTENCES + 1, dtype="int32"), (batch, 1)),
    }
    if targets:
        facts = generator.permuted(np.tile(np.arange(3), (batch, 1)), axis=1)[:, :2]
        facts[::2, 1] = -1
        answer = generator.integers(1, WORDS + 1, (batch, 2))
        answer[1::2, 1] = 0
        inputs["supporting_facts"] = facts.astype("int32")
        inputs["answer"] = answer.astype("int32")
    return inputs


def _with_facts(batch):
    inputs = stories(batch)
    return {name: inputs[name] for name in ("story", "question", "supporting_facts")}


def _matching(batch):
    generator = np.random.default_rng(7)
    return {
        "question": _ids(generator, batch, 3),
        "memories": _ids(generator, batch, 2, 3),
        "candidates": _ids(generator, batch, 5, 3),
    }


def _texts(batch):
    inputs = stories(batch, targets=False)
    return {name: inputs[name] for name in ("story", "question")}


def _ages(batch):
    generator = np.random.default_rng(7)
    return {
        "query": generator.normal(size=(batch, 4)).astype("float32"),
        "x_time": np.full((batch,), NOW, "int32"),
        "y_time": np.tile(np.arange(5, dtype="int32")[:, None], (batch, 1, 1)),
        "other_time": np.tile(np.arange(5, dtype="int32")[None, :], (batch, 1, 1)),
    }


def _scores(*shape: int) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    def inputs(batch):
        generator = np.random.default_rng(7)
        targets = generator.integers(-1, 5, (batch, 2)).astype("int32")
        return targets, generator.normal(size=(batch, *shape)).astype("float32")

    return inputs


def _model(**options):
    return lambda: MemoryNetwork(WORDS, VOCABULARY, embedding_dim=4, **options)


def layer_examples() -> list[LayerExample]:
    """Returns one example per option that changes the computation."""
    sizes: dict[str, Any] = {"vocabulary_size": VOCABULARY, "embedding_dim": 4}
    return [
        LayerExample(
            "bag_of_features",
            lambda: BagOfFeatures(**sizes, features=[1, 2, 3, 5, 12]),
            lambda batch: _ids(np.random.default_rng(7), batch, 2, 6),
            integer_inputs=True,
        ),
        LayerExample("matching", lambda: Matching(**sizes), _matching, integer_inputs=True),
        LayerExample(
            "matching_nonlinear",
            lambda: Matching(**sizes, nonlinear=True, memory_spaces=1, dropout=0.2),
            _matching,
            integer_inputs=True,
        ),
        LayerExample("write_time", WriteTime, _ages),
        LayerExample(
            "supporting_facts",
            lambda: SupportingFacts(**sizes),
            lambda batch: stories(batch, targets=False),
            integer_inputs=True,
            skip=NO_GRADIENT,
        ),
        LayerExample(
            "supporting_facts_adaptive",
            lambda: SupportingFacts(**sizes, hops=3, adaptive=True, nonlinear=True),
            lambda batch: stories(batch, targets=False),
            integer_inputs=True,
            skip=NO_GRADIENT,
        ),
        LayerExample(
            "response", lambda: Response(WORDS, **sizes), _with_facts, integer_inputs=True
        ),
        LayerExample(
            "response_adaptive",
            lambda: Response(WORDS, **sizes, max_words=3, adaptive=True, nonlinear=True),
            _with_facts,
            integer_inputs=True,
        ),
        LayerExample("margin_ranking_loss", MarginRankingLoss, _scores(2, 5)),
        LayerExample("pairwise_margin_ranking_loss", PairwiseMarginRankingLoss, _scores(2, 5, 2)),
        LayerExample("memory_network", _model(), stories, integer_inputs=True),
        LayerExample(
            "memory_network_adaptive_nonlinear",
            _model(adaptive=True, nonlinear=True, max_hops=3, features=[1, 2, 3, 12]),
            stories,
            integer_inputs=True,
        ),
        LayerExample(
            "task_router",
            lambda: TaskRouter(VOCABULARY, tasks=3),
            _texts,
            targets=lambda batch: np.arange(batch) % 3,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            integer_inputs=True,
        ),
    ]
