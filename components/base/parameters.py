"""Parameters of stages, validated when a pipeline is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic

if TYPE_CHECKING:
    from pydantic.config import JsonDict

HOW: JsonDict = {"changes_outputs": False}
"""`json_schema_extra` of a parameter that changes how the work is done, but not the outputs."""


class Parameters(pydantic.BaseModel):
    """Base of all parameters: unknown names and wrong types are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)
