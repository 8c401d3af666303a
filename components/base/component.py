"""What a component is: typed inputs and outputs, parameters, and one function that does the work.

A component is declared once as a class and placed in a pipeline as an instance. It knows no method
by name: what a method contributes comes in as plain callables (`functions`) with their own
parameters (`options`). Modules of components import TensorFlow and Beam inside `execute` only, so
that a pipeline is built and checked, and a cached run ends, without loading them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pydantic

from .artifacts import Artifact
from .parameters import Parameters
from .suggestions import did_you_mean

# Inside a component `Parameters` is its own class.
_Parameters = Parameters


@dataclasses.dataclass(frozen=True)
class Channel:
    """An output of one component, to be the input of another.

    Args:
        component: name of the component that makes the artifact.
        output: name of the output.
        artifact_type: the artifact's class.
    """

    component: str
    output: str
    artifact_type: type[Artifact]


@dataclasses.dataclass(frozen=True)
class LatestBlessed:
    """A resolver: the output that the last blessed model got from the component that blessed it.

    It may stand in a component's inputs in place of a `Channel`. The pipeline resolves it from its
    metadata store: of the blessed models of the same method and source that are older than the
    component's input `model`, the newest counts. Where there is none the input is missing, so the
    component must declare it as optional. TFX has this as `LatestBlessedModelStrategy`.

    ```python
    Evaluator(inputs={"model": model, "baseline": LatestBlessed(ModelEvaluation)})
    ```

    Args:
        artifact_type: the artifact's class.
    """

    artifact_type: type[Artifact]


@dataclasses.dataclass
class ExecutionContext:
    """What `execute` is given.

    Args:
        inputs: artifacts by input name, of the classes in the component's `INPUTS`. An optional
            input may be missing.
        outputs: artifacts by output name, of the classes in `OUTPUTS`. Their folders are empty
            staging folders: write into them and set `properties`; the runner writes the manifests
            and publishes the folders.
        parameters: the validated parameters, those of the method's options among them.
        functions: the method's callables.
        beam_arguments: Beam flags as given after `--`.
        checkpoint_dir: folder that survives a kill of this execution and is passed to the next
            attempt.
        serving_dir: folder into which models are pushed; only the Pusher writes there.
        data_dir: file or folder of the user's data, or `None`.
        model_name: name under which the method is served.
        progress: `progress(fraction, text)` shows the progress of the stage; the fraction is in
            [0, 1], or `None` where it is not known.
        summary: one line about this execution for the screen and the report.
        counters: counts shown in the report.
        stop: set it to a `Stop` to publish the outputs and end the run after this stage.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parameters: Any
    functions: Mapping[str, Any]
    beam_arguments: tuple[str, ...] = ()
    checkpoint_dir: str = ""
    serving_dir: str = ""
    data_dir: str | None = None
    model_name: str = ""
    progress: Callable[[float | None, str], None] = lambda fraction, text: None
    summary: str = ""
    counters: dict[str, int] = dataclasses.field(default_factory=dict)
    stop: Stop | None = None


@dataclasses.dataclass(frozen=True)
class Stop:
    """Why a run ends after a stage that completed.

    Args:
        kind: `"bad_data"`, `"not_blessed"` or `"not_infra_blessed"`.
        message: what happened, with the next step.
    """

    kind: str
    message: str


class Component:
    """Base of all components.

    Args:
        inputs: a `Channel`, or for an optional input a `LatestBlessed`, by input name.
        parameters: values by parameter name; what is missing takes its default.
        options: parameter classes of the method's callables, whose fields join this component's
            own parameters.
        functions: the method's callables by name.

    Raises:
        TypeError: an input or a function is missing, unknown or of the wrong type.
        ValueError: a parameter is unknown or has a wrong value.

    Attributes:
        INPUTS: artifact classes by input name.
        OPTIONAL_INPUTS: names in `INPUTS` that may be left out.
        OUTPUTS: artifact classes by output name.
        FUNCTIONS: names of the callables that a method gives, each with what it is.
        OPTIONAL_FUNCTIONS: names in `FUNCTIONS` that may be left out.
        Parameters: this component's own parameters.
    """

    INPUTS: ClassVar[Mapping[str, type[Artifact]]] = {}
    OPTIONAL_INPUTS: ClassVar[frozenset[str]] = frozenset()
    OUTPUTS: ClassVar[Mapping[str, type[Artifact]]] = {}
    FUNCTIONS: ClassVar[Mapping[str, str]] = {}
    OPTIONAL_FUNCTIONS: ClassVar[frozenset[str]] = frozenset()

    class Parameters(_Parameters):
        """Parameters of a component that declares none."""

    def __init__(
        self,
        inputs: Mapping[str, Channel | LatestBlessed] | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: Iterable[type[_Parameters]] = (),
        functions: Mapping[str, Any] | None = None,
    ):
        self.inputs = dict(inputs or {})
        self.functions = dict(functions or {})
        self._check("input", self.inputs, self.INPUTS, self.OPTIONAL_INPUTS)
        self._check("function", self.functions, self.FUNCTIONS, self.OPTIONAL_FUNCTIONS)
        for name, origin in self.inputs.items():
            if not issubclass(origin.artifact_type, self.INPUTS[name]):
                maker = getattr(origin, "component", type(origin).__name__)
                raise TypeError(
                    f"{self.name}'s input {name!r} takes {self.INPUTS[name].TYPE_NAME}. "
                    f"Received: {origin.artifact_type.TYPE_NAME} from {maker}"
                )
            if isinstance(origin, LatestBlessed) and name not in self.OPTIONAL_INPUTS:
                raise TypeError(
                    f"{self.name}'s input {name!r} must be in OPTIONAL_INPUTS: no model is blessed "
                    f"yet in a new root. Received: {origin}"
                )
        self.parameters_class = self.joined_parameters(options)
        self.parameters = self.validated(parameters or {})

    @property
    def name(self) -> str:
        """The component's name, that of its class."""
        return type(self).__name__

    @property
    def channels(self) -> dict[str, Channel]:
        """The inputs that other components of the pipeline make, by input name."""
        return {
            name: channel for name, channel in self.inputs.items() if isinstance(channel, Channel)
        }

    @property
    def outputs(self) -> dict[str, Channel]:
        """Channels by output name."""
        return {name: Channel(self.name, name, kind) for name, kind in self.OUTPUTS.items()}

    @classmethod
    def joined_parameters(cls, options: Iterable[type[_Parameters]]) -> type[_Parameters]:
        """Returns one parameter class with this component's fields and those of the options."""
        options = tuple(option for option in options if option is not _Parameters)
        if not options:
            return cls.Parameters
        return pydantic.create_model(
            f"{cls.__name__}Parameters", __base__=(*options, cls.Parameters)
        )

    def validated(self, values: Mapping[str, Any]) -> _Parameters:
        """Checks parameter values, with a suggestion for a name that does not exist."""
        known = list(self.parameters_class.model_fields)
        for name in values:
            if name not in known:
                raise ValueError(
                    f"{self.name} has no parameter {name!r}{did_you_mean(name, known)} "
                    f"Known: {', '.join(known) or 'none'}. Received: {name!r}"
                )
        try:
            return self.parameters_class(**values)
        except pydantic.ValidationError as error:
            problems = "; ".join(_problem(details) for details in error.errors())
            raise ValueError(f"{self.name}: {problems}") from error

    def _check(
        self,
        what: str,
        values: Mapping[str, Any],
        declared: Mapping[str, Any],
        optional: frozenset[str],
    ) -> None:
        for name in values:
            if name not in declared:
                raise TypeError(f"{self.name} has no {what} {name!r}. Known: {', '.join(declared)}")
        for name in declared:
            if name not in values and name not in optional:
                raise TypeError(f"{self.name} needs the {what} {name!r}: {declared[name]}")

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Does the work: reads `context.inputs`, writes into `context.outputs`."""
        raise TypeError("A component defines `execute`.")

    @staticmethod
    def stale(outputs: Mapping[str, Artifact], serving_dir: str) -> str | None:
        """Returns why published outputs no longer hold although nothing they depend on changed."""
        return None


def _problem(error: Mapping[str, Any]) -> str:
    """Returns one of pydantic's errors as a sentence with the offending value."""
    where = ".".join(str(part) for part in error["loc"]) or "parameters"
    text = error["msg"].removeprefix("Value error, ")
    return (
        f"{where}: {text}"
        if "Received:" in text
        else (f"{where}: {text}. Received: {error['input']!r}")
    )
