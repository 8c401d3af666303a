"""What a method contributes to a stage, imported when the stage runs and not when it is built."""

from __future__ import annotations

import dataclasses
import pkgutil
from typing import Any


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A module, or a function or class in it, that is imported when it is first used.

    It stands for what it names: attributes are those of the module, a call is a call of the
    function. It is picklable, so that Beam and training processes import it themselves.

    ```python
    training = Lazy("methodical.pipeline.methods.facenet.training")
    fits = training.fits(parameters, data)
    read = Lazy("methodical.components.data.babi.transforms:Simulate")
    transform = read(parameters, None)
    ```

    Args:
        path: `package.module`, or `package.module:name`, as in entry points.
    """

    path: str

    @property
    def module(self) -> str:
        """The name of the module."""
        return self.path.partition(":")[0]

    def load(self) -> Any:
        """Imports the module and returns it, or what is named in it."""
        return pkgutil.resolve_name(self.path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls what is named."""
        return self.load()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of what is named."""
        # Copying and pickling look for methods of these names, for which nothing must be imported.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.load(), name)
