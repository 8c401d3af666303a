"""Parameters of stages, validated when a pipeline is built."""

from __future__ import annotations

import pydantic

HOW = {"changes_outputs": False}
"""`json_schema_extra` of a parameter that says how the work is done and not what comes out."""


class Parameters(pydantic.BaseModel):
    """Base of all parameters: unknown names and wrong types are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)
