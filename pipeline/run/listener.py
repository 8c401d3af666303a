"""Who is told how a run goes on."""

from __future__ import annotations

from .run_record import Record


class Listener:
    """Is told how a run goes on; the screen is one. These methods do nothing."""

    def run_started(self, record: Record) -> None:
        """The run has begun."""

    def stage_started(self, component: str, reason: str) -> None:
        """A stage that is not cached begins."""

    def stage_progress(self, component: str, fraction: float | None, text: str) -> None:
        """A stage tells how far it is."""

    def stage_finished(self, record: Record, stage: Record) -> None:
        """A stage has ended, or was cached."""

    def warning(self, text: str) -> None:
        """Something that did not end the run."""

    def run_finished(self, record: Record) -> None:
        """The run has ended in any way."""
