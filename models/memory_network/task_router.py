"""The choice of the task of a question, for serving models that were trained per task.

The paper trains and tests one model per task and knows the task of each question. A client sends
only a story and a question; this linear classifier over bags of words predicts the task.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class TaskRouter(keras.Model):
    """Linear classifier of the task from two bags of features.

    `logits = sum_i A[story_i] / n + sum_j B[question_j] + b`, where `n` is the number of features
    of the story, so that long stories do not outweigh the question.

    Args:
        vocabulary_size: integer. The largest feature id.
        tasks: integer. The number of tasks; task `t` is class `t - 1`.

    Call arguments:
        inputs: dict with `"story"`, integers `(B, S, F)`, and `"question"`, integers `(B, Q)`;
            0 is padding.

    Returns:
        Logits `(B, tasks)`.

    Example:

    >>> router = TaskRouter(vocabulary_size=9, tasks=2)
    >>> router({"story": np.ones((3, 4, 5), "int32"), "question": np.ones((3, 2), "int32")}).shape
    (3, 2)
    """

    def __init__(self, vocabulary_size: int, tasks: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("vocabulary_size", vocabulary_size), ("tasks", tasks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        self.vocabulary_size = vocabulary_size
        self.tasks = tasks
        self.story_weights = keras.layers.Embedding(
            vocabulary_size + 1, tasks, embeddings_initializer="zeros", name="story_weights"
        )
        self.question_weights = keras.layers.Embedding(
            vocabulary_size + 1, tasks, embeddings_initializer="zeros", name="question_weights"
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the bias and the tables."""
        self.story_weights.build()
        self.question_weights.build()
        self.bias = self.add_weight(shape=(self.tasks,), initializer="zeros", name="bias")

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """Returns the logits."""
        story, question = inputs["story"], inputs["question"]
        story_logits, count = self._bag(self.story_weights, story, axis=(1, 2))
        question_logits, _ = self._bag(self.question_weights, question, axis=(1,))
        return story_logits / ops.maximum(count, 1.0) + question_logits + self.bias

    def _bag(self, table, ids, axis):
        present = ops.cast(ids != 0, self.compute_dtype)
        summed = ops.sum(table(ids) * present[..., None], axis=axis)
        return summed, ops.sum(present, axis=axis)[:, None]

    def compute_output_shape(self, input_shape: dict[str, Shape]) -> Shape:
        """Returns `(B, tasks)`."""
        return (input_shape["question"][0], self.tasks)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        config = super().get_config()
        return {**config, "vocabulary_size": self.vocabulary_size, "tasks": self.tasks}
