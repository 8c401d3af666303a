"""The report's lineage: stages down the page, artifacts as lines from maker to readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..charts.charts import ACCENT, FONT, INK, LINE, MUTED

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
    width = right + 8 + 6.8 * max([17, *(len(text) for text in named.values())])
    height = top + len(shown) * ROW + 4

    def x_of(lane: int) -> float:
        return LEFT + 26 + lane * LANE

    def y_of(row: int) -> float:
        return top + row * ROW + ROW / 2 if row >= 0 else 20

    parts = []
    for index in range(len(shown)):
        touched = [a.lane for a in artifacts if a.maker == index or index in a.readers]
        if touched:
            end = x_of(max(touched))
            parts.append(
                f'<line x1="{LEFT}" y1="{y_of(index):.0f}" x2="{end:.0f}" y2="{y_of(index):.0f}"'
                f' style="stroke:{LINE};stroke-width:1.5"/>'
            )
    for artifact in artifacts:
        parts.append(_line(artifact, shown, x_of, y_of))
    for index, stage in enumerate(shown):
        y = y_of(index)
        reused = stage["state"] == "cached"
        fill = "var(--card,#fff)" if reused else INK
        parts.append(
            f'<circle cx="{LEFT}" cy="{y:.0f}" r="4.5" style="fill:{fill};stroke:{INK};'
            'stroke-width:1.5"/>'
            f'<text x="{LEFT - 14}" y="{y - 1:.0f}" text-anchor="end" style="font:600 12.5px'
            f' system-ui,sans-serif;fill:{INK}">{escape(stage["component"])}</text>'
            f'<text x="{LEFT - 14}" y="{y + 12:.0f}" text-anchor="end" style="font:10px {FONT};'
            f'fill:{MUTED}">{escape(_short(stage["execution_id"]))}</text>'
        )
        parts.append(
            f'<text x="{right + 2}" y="{y + 4:.0f}" style="font:11px {FONT};fill:{INK}">'
            f"{escape(named[index])}</text>"
        )
    if earlier:
        parts.append(
            f'<text x="{right + 2}" y="24" style="font:11px {FONT};fill:{MUTED}">'
            "from an earlier run</text>"
        )
    size = f'width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}"'
    label = "lineage: stages and the artifacts that they made and read"
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" {size} role="img"'
        f' aria-label="{label}">{"".join(parts)}</svg>'
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


def _line(artifact: _Artifact, stages: Sequence[Mapping[str, Any]], x_of: Any, y_of: Any) -> str:
    x, start = x_of(artifact.lane), y_of(artifact.maker)
    last = max(artifact.readers, default=artifact.maker)
    readers = ", ".join(stages[reader]["component"] for reader in artifact.readers) or "no stage"
    maker = stages[artifact.maker]["component"] if artifact.maker >= 0 else "an earlier run"
    title = f"{artifact.name} ({_short(artifact.execution)}): made by {maker}, read by {readers}"
    rings = "".join(
        f'<circle cx="{x}" cy="{y_of(reader):.0f}" r="4" style="fill:var(--card,#fff);'
        f'stroke:{ACCENT};stroke-width:2"/>'
        for reader in artifact.readers
    )
    return (
        f'<g class="lane"><title>{escape(title)}</title>'
        f'<line x1="{x}" y1="{start:.0f}" x2="{x}" y2="{y_of(last):.0f}" style="stroke:{ACCENT};'
        f'stroke-width:2"/><circle cx="{x}" cy="{start:.0f}" r="5" style="fill:{ACCENT}"/>'
        f"{rings}</g>"
    )


def _short(execution: Any) -> str:
    text = f"execution {execution}" if isinstance(execution, int) else str(execution)
    return text if len(text) <= 30 else f"{text[:29]}…"
