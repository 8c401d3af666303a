"""What is run: a method's components, checked and in order, and the data that they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...components.base.component import Component
from ...components.base.lazy import Lazy
from ...components.base.suggestions import did_you_mean


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A pipeline whose parts fit together.

    ```python
    pipeline = Pipeline("toy", "counted", [example_gen, trainer])
    Runner(pipeline, "/tmp/root").run()["exit_code"]  # 0
    ```

    Args:
        method: string. Names the pipeline, its artifacts and its served model.
        source: string. Where the examples come from.
        components: in any order; they are kept such that each follows those whose outputs it
            reads, else in the order given.
        title: string. Shown in the report.
        data_dir: string. The user's data, or `None`.
        beam_arguments: Beam flags for the data stages.
        paper: module with the paper's numbers, or `None`.

    Raises:
        ValueError: two components of one name, a channel that nobody makes, or a cycle.
    """

    method: str
    source: str
    components: Sequence[Component]
    title: str = ""
    data_dir: str | None = None
    beam_arguments: Sequence[str] = ()
    paper: Lazy | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", _ordered(self.components))
        object.__setattr__(self, "beam_arguments", tuple(self.beam_arguments))

    @property
    def names(self) -> list[str]:
        """The components' names, in order."""
        return [component.name for component in self.components]

    def needed_for(self, last: str) -> set[str]:
        """Returns the names of a component and of all that it depends on."""
        needed = {last}
        for component in reversed(self.components):
            if component.name in needed:
                needed |= _producers(component)
        return needed

    def depending_on(self, first: str) -> set[str]:
        """Returns the names of a component and of all that depend on it."""
        depending = {first}
        for component in self.components:
            if _producers(component) & depending:
                depending.add(component.name)
        return depending


def _ordered(components: Sequence[Component]) -> tuple[Component, ...]:
    by_name: dict[str, Component] = {}
    for component in components:
        if component.name in by_name:
            raise ValueError(f"A pipeline holds each component once. Received: {component.name}")
        by_name[component.name] = component
    for component in components:
        for name, channel in component.channels.items():
            producer = by_name.get(channel.component)
            if producer is None or channel.output not in producer.OUTPUTS:
                raise ValueError(
                    f"{component.name}'s input {name!r} is made by no component of this pipeline. "
                    f"Received: {channel.component}.{channel.output}"
                )
    placed: dict[str, Component] = {}
    while len(placed) < len(components):
        waiting = [component for component in components if component.name not in placed]
        ready = next((part for part in waiting if _producers(part) <= placed.keys()), None)
        if ready is None:
            raise ValueError(
                "The channels of a pipeline go in no circle. Received: "
                + ", ".join(component.name for component in waiting)
            )
        placed[ready.name] = ready
    return tuple(placed.values())


def _producers(component: Component) -> set[str]:
    return {channel.component for channel in component.channels.values()}


def snake_case(name: str) -> str:
    """Returns a component's name as on the command line: `ExampleGen` is `example_gen`."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def find_component(name: str, known: Sequence[str]) -> str:
    """Returns the component's class name for a name in either spelling.

    Raises:
        ValueError: there is no such component.
    """
    for candidate in known:
        if name in (candidate, snake_case(candidate)):
            return candidate
    spelt = [snake_case(candidate) for candidate in known]
    near = did_you_mean(snake_case(name) if name != name.lower() else name, spelt)
    raise ValueError(
        f"There is no component {name!r}{near} Known: {', '.join(spelt)}. Received: {name!r}"
    )
