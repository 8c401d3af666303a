"""The report's lineage: stages down the page, artifacts as lines from maker to readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..charts.palette import ACCENT, CARD, INK, LINE
from ..charts.svg import CHARACTER, circle, drawing, element, line, shortened, text

ROW = 42
LANE = 23
LEFT = 152


@dataclasses.dataclass
class _Artifact:
    maker: int
    name: str
    execution: int | str
    readers: list[int] = dataclasses.field(default_factory=list)
    lane: int = 0


def lineage_graph(stages: Sequence[Mapping[str, Any]]) -> str:
    """Draws who made what from what in one run.

    Args:
        stages: `stages` of `run.json`. An input whose execution is none of these stages' comes
            from an earlier run and is drawn from above.

    Returns:
        An `<svg>` element, or an empty text if no stage has an execution.
    """
    shown = [stage for stage in stages if stage.get("execution_id") and stage.get("outputs")]
    if not shown:
        return ""
    artifacts = _artifacts(shown)
    lanes = _place(artifacts, len(shown))
    earlier = any(artifact.maker < 0 for artifact in artifacts)
    top = 40 if earlier else 10
    right = LEFT + 26 + lanes * LANE
    named = {
        index: " · ".join(
            artifact.name
            for artifact in sorted(artifacts, key=lambda artifact: artifact.lane)
            if artifact.maker == index
        )
        for index in range(len(shown))
    }
    longest = max(17, *map(len, named.values()))
    width = right + 8 + 11 * CHARACTER * longest
    height = top + len(shown) * ROW + 4

    def x_of(lane: int) -> float:
        return LEFT + 26 + lane * LANE

    def y_of(row: int) -> float:
        return top + row * ROW + ROW / 2 if row >= 0 else 20

    parts = []
    for index in range(len(shown)):
        touched = [a.lane for a in artifacts if a.maker == index or index in a.readers]
        if touched:
            y = y_of(index)
            parts.append(line(LEFT, y, x_of(max(touched)), y, LINE, stroke_width=1.5))
    for artifact in artifacts:
        parts.append(_lane(artifact, shown, x_of, y_of))
    for index, stage in enumerate(shown):
        y, label = y_of(index), _short(stage["execution_id"])
        fill = CARD if stage["state"] == "cached" else INK
        bold = {"font_family": "system-ui,sans-serif", "font_size": 12.5, "font_weight": 600}
        parts += [
            circle(LEFT, y, 4.5, fill, stroke=INK, stroke_width=1.5),
            text(LEFT - 14, y - 1, stage["component"], "end", INK, **bold),
            text(LEFT - 14, y + 12, label, "end", font_size=10),
            text(right + 2, y + 4, named[index], "start", INK),
        ]
    if earlier:
        parts.append(text(right + 2, 24, "from an earlier run", "start"))
    return drawing(
        width, height, "lineage: stages and the artifacts that they made and read", parts
    )


def edges(stages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Returns `(maker, output, reader)` for every artifact that was read within the run."""
    shown = [stage for stage in stages if stage.get("execution_id") and stage.get("outputs")]
    return [
        (shown[artifact.maker]["component"], artifact.name, shown[reader]["component"])
        for artifact in _artifacts(shown)
        if artifact.maker >= 0
        for reader in artifact.readers
    ]


def _artifacts(stages: Sequence[Mapping[str, Any]]) -> list[_Artifact]:
    made: dict[tuple[Any, str], _Artifact] = {}
    makers = {stage["execution_id"]: index for index, stage in enumerate(stages)}
    for index, stage in enumerate(stages):
        for output in stage["outputs"]:
            key = (stage["execution_id"], output)
            made[key] = _Artifact(index, output, stage["execution_id"])
    for index, stage in enumerate(stages):
        for name, execution in (stage.get("inputs") or {}).items():
            if execution in makers:
                output = _output(name, list(stages[makers[execution]]["outputs"]))
            else:
                output = name
                made.setdefault((execution, name), _Artifact(-1, name, execution))
            artifact = made[execution, output]
            if index not in artifact.readers:
                artifact.readers.append(index)
    return sorted(made.values(), key=lambda artifact: artifact.maker)


def _output(name: str, outputs: list[str]) -> str:
    """Returns the output that an input reads: run.json names the execution only."""
    if name in outputs:
        return name
    near = [output for output in outputs if output.endswith(name) or name.endswith(output)]
    return (near or outputs)[0]


def _place(artifacts: Sequence[_Artifact], rows: int) -> int:
    free_from: list[int] = []
    for artifact in artifacts:
        last = max(artifact.readers, default=artifact.maker)
        for lane, free in enumerate(free_from):
            if artifact.maker >= free:
                artifact.lane = lane
                free_from[lane] = last + 1
                break
        else:
            artifact.lane = len(free_from)
            free_from.append(last + 1)
    return len(free_from)


def _lane(artifact: _Artifact, stages: Sequence[Mapping[str, Any]], x_of: Any, y_of: Any) -> str:
    x, start = x_of(artifact.lane), y_of(artifact.maker)
    last = max(artifact.readers, default=artifact.maker)
    readers = ", ".join(stages[reader]["component"] for reader in artifact.readers) or "no stage"
    maker = stages[artifact.maker]["component"] if artifact.maker >= 0 else "an earlier run"
    return element(
        "g",
        line(x, start, x, y_of(last), ACCENT, stroke_width=2),
        circle(x, start, 5, ACCENT),
        *(
            circle(x, y_of(reader), 4, CARD, stroke=ACCENT, stroke_width=2)
            for reader in artifact.readers
        ),
        title=f"{artifact.name} ({_short(artifact.execution)}): made by {maker}, read by {readers}",
    )


def _short(execution: Any) -> str:
    return shortened(f"execution {execution}" if isinstance(execution, int) else str(execution), 30)
