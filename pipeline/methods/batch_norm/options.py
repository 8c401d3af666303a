"""What can be set of both experiments."""

from __future__ import annotations

import pydantic

from ....components.base.parameters import Parameters


class ExporterOptions(Parameters):
    """What the served model is made of."""

    fold: bool = pydantic.Field(
        True, description="fold batch normalization into the layers before it"
    )


def check_records(steps: int, record_every: int) -> None:
    """Checks that training ends with a record.

    Raises:
        ValueError: it does not.
    """
    if steps % record_every:
        raise ValueError(
            "`steps` must be a multiple of `record_every`, so that training ends with a record. "
            f"Received: steps={steps}, record_every={record_every}"
        )
