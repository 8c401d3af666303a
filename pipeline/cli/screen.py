"""What a run shows: a live table of stages on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import time
from typing import IO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ...components.io import filesystem
from ..run.listener import Listener
from ..run.run_record import Record

_STYLES = {
    "done": "green",
    "cached": "cyan",
    "failed": "bold red",
    "interrupted": "bold yellow",
    "stopped": "bold yellow",
    "skipped": "dim",
    "running": "bold blue",
    "would run": "yellow",
    "BLESSED": "bold green",
    "NOT BLESSED": "bold yellow",
}
_PROGRESS_SECONDS = 30.0


def is_plain(stream: IO[str]) -> bool:
    """Whether a stream gets plain lines: no terminal, `NO_COLOR`, or `TERM=dumb`."""
    return (
        not stream.isatty()
        or bool(os.environ.get("NO_COLOR"))
        or os.environ.get("TERM", "") in ("dumb", "unknown")
    )


def new_screen(stream: IO[str]) -> Listener:
    """Returns the screen for a stream."""
    return _PlainScreen(stream) if is_plain(stream) else _LiveScreen(stream)


def stage_state(stage: Record) -> str:
    """Returns a stage's state as shown: its verdict or pushed version where it has one."""
    if stage["state"] in ("done", "stopped") and stage["verdict"]:
        return str(stage["verdict"])
    if stage["state"] == "done":
        for properties in stage["properties"].values():
            if stage["component"] == "Pusher" and "version" in properties:
                return f"v{properties['version']}"
    return str(stage["state"])


def stage_text(stage: Record) -> str:
    """Returns what is said of a stage: what it found, and why it ran or did not."""
    if stage["state"] in ("done", "stopped", "failed") and stage["reason"] != "first run":
        return "   ".join(filter(None, [stage["summary"], stage["reason"]]))
    if stage["state"] in ("cached", "skipped", "would run", "failed"):
        return str(stage["reason"])
    return str(stage["summary"])


def seconds(value: float) -> str:
    """Returns seconds as shown: `1.9s`, `4m05s`; empty for less than a twentieth."""
    if value < 0.05:
        return ""
    if value < 100:
        return f"{value:.1f}s"
    return f"{int(value // 60)}m{int(value % 60):02d}s"


def header(record: Record) -> str:
    """Returns the first line of a run."""
    data = f"data={record['source']}"
    if record["data_dir"]:
        data += f" ({record['data_dir']})"
    return f"run {record['run_id']}   {record['method']}   {data}   root={record['root']}"


def ending(record: Record) -> list[tuple[str, str]]:
    """Returns the last lines of a run as label and text: error, paths, next command."""
    root = record["root"]
    lines = []
    error = record["error"]
    if error:
        where = f"{error['component']}: " if error["component"] else ""
        state = "not done" if record["state"] == "stopped" else record["state"]
        message = error["message"]
        if error["component"] and error["component"] in message.split("\n")[0]:
            where = ""
        lines.append((state, f"{where}{message}"))
    for label, name in (("model", "pushed_model"), ("report", "report")):
        if name in record["paths"]:
            lines.append((label, filesystem.join(root, record["paths"][name])))
    if error:
        if record["state"] == "failed" and "log" in record["paths"]:
            lines.append(("log", filesystem.join(root, record["paths"]["log"])))
        lines.append(("next", error["next"]))
    if record.get("ask"):
        lines.append(("ask it", record["ask"]))
    if record["state"] == "complete":
        lines.append(("took", seconds(record["seconds"]) or "0.0s"))
    return lines


class _PlainScreen(Listener):
    """Writes one line as a stage begins and one as it ends.

    Args:
        stream: an open text file.
    """

    def __init__(self, stream: IO[str]):
        self._stream = stream
        self._next_progress = 0.0

    def _write(self, text: str) -> None:
        self._stream.write(text.rstrip() + "\n")
        self._stream.flush()

    def _line(self, component: str, state: str, took: str, text: str) -> None:
        self._write(f"  {component:<17} {state:<11} {took:>6}   {text}")

    def run_started(self, record: Record) -> None:
        self._write(header(record))

    def stage_started(self, component: str, reason: str) -> None:
        self._line(component, "running", "", reason)
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS

    def stage_progress(self, component: str, fraction: float | None, text: str) -> None:
        if time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + _PROGRESS_SECONDS
            done = "" if fraction is None else f"{fraction:.0%}"
            self._line(component, "running", done, text)

    def stage_finished(self, record: Record, stage: Record) -> None:
        self._line(
            stage["component"], stage_state(stage), seconds(stage["seconds"]), stage_text(stage)
        )

    def warning(self, text: str) -> None:
        self._write(f"warning  {text}")

    def run_finished(self, record: Record) -> None:
        for label, text in ending(record):
            self._write(f"{label:<11} {text}")


class _LiveScreen(Listener):
    """Redraws one table while the run goes on.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: IO[str]):
        self.console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._record: Record = {"stages": []}
        self._running: str | None = None
        self._reason = ""
        self._began = 0.0
        self._fraction: float | None = None
        self._progress = ""
        self._spinner = Spinner("dots", style="bold blue")

    def __rich__(self) -> RenderableType:
        return self.table()

    def table(self) -> RenderableType:
        """Returns the table as it is now."""
        table = Table.grid(padding=(0, 2, 0, 0), expand=False)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="fold")
        for stage in self._record["stages"]:
            name = stage["component"]
            if name == self._running:
                now = seconds(time.monotonic() - self._began)
                table.add_row(
                    self._spinner, Text(name, "bold"), Text("running", _STYLES["running"]), now,
                    self._running_text(),
                )  # fmt: skip
                continue
            pending = stage["state"] == "skipped" and not stage["reason"]
            state = "" if pending else stage_state(stage)
            table.add_row(
                "",
                Text(name, "dim" if pending or stage["state"] == "skipped" else ""),
                Text(state, _STYLES.get(state, "green" if stage["state"] == "done" else "")),
                seconds(stage["seconds"]) if stage["state"] != "cached" else "",
                self._stage_text(stage),
            )
        return table

    def _stage_text(self, stage: Record) -> Text:
        whole = stage_text(stage)
        if stage["state"] == "cached":
            return Text.assemble((whole, "dim"), "  ", (stage["summary"], "dim"))
        if stage["summary"] and whole.startswith(stage["summary"]):
            return Text.assemble(stage["summary"], (whole[len(stage["summary"]) :], "dim"))
        return Text(whole, "dim" if stage["state"] == "skipped" else "")

    def _running_text(self) -> RenderableType:
        text = Text.assemble(self._progress or "", "  " if self._progress else "")
        text.append(self._reason, "dim")
        if self._fraction is None:
            return text
        bar = ProgressBar(total=1.0, completed=min(1.0, max(0.0, self._fraction)), width=24)
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(bar, Text(f"{self._fraction:.0%}"), text)
        return row

    def run_started(self, record: Record) -> None:
        self._record = record
        self.console.print(Text(header(record), "bold"))
        self._live = Live(
            self, console=self.console, refresh_per_second=8, redirect_stdout=True,
            redirect_stderr=False, vertical_overflow="visible",
        )  # fmt: skip
        self._live.start(refresh=True)

    def stage_started(self, component: str, reason: str) -> None:
        self._running, self._reason, self._began = component, reason, time.monotonic()
        self._fraction, self._progress = None, ""

    def stage_progress(self, component: str, fraction: float | None, text: str) -> None:
        self._fraction, self._progress = fraction, text

    def stage_finished(self, record: Record, stage: Record) -> None:
        self._running = None
        if self._live is not None:
            self._live.refresh()

    def warning(self, text: str) -> None:
        self.console.print(Text.assemble(("warning  ", "bold yellow"), text))

    def run_finished(self, record: Record) -> None:
        self._running = None
        if self._live is not None:
            self._live.stop()
            self._live = None
        tones = {"failed": "bold red", "interrupted": "bold yellow", "not done": "bold yellow"}
        for label, text in ending(record):
            style = tones.get(label, "bold")
            self.console.print(Text.assemble((f"{label:<11}", style), " ", text), soft_wrap=True)


def show_plan(record: Record, stream: IO[str]) -> None:
    """Shows what `methodical run --dry-run` found."""
    if is_plain(stream):
        screen = _PlainScreen(stream)
        for stage in record["stages"]:
            screen.stage_finished(record, stage)
        return
    live = _LiveScreen(stream)
    live._record = record
    live.console.print(live.table())
