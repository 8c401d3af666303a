"""The runs of a root and a lineage, as they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from .screen import seconds

_WIDE = 10_000


def show_runs(runs: Sequence[Mapping[str, Any]], stream: IO[str]) -> None:
    """Writes runs as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("run", "method", "source", "state", "took", "main metric", "pushed model"):
        table.add_column(heading, no_wrap=True)
    for run in runs:
        value = run.get("value")
        table.add_row(
            run["run_id"],
            run.get("method", ""),
            run.get("source", ""),
            run["state"],
            seconds(run.get("seconds") or 0.0),
            "" if value is None else f"{run.get('metric')} {value:.4g}",
            run.get("pushed_model") or "",
        )
    _print(table, stream)


def show_lineage(lineage: Mapping[str, Any], stream: IO[str]) -> None:
    """Writes a lineage as a tree: each execution with what it read, made and was told."""
    tree = Tree(Text.assemble((f"{lineage['kind']} ", "dim"), (lineage["name"], "bold")))
    for execution in lineage["executions"]:
        branch = tree.add(
            Text.assemble(
                (f"{execution['component']} ", "bold"),
                f"execution {execution['id']}  {execution['state'].lower()}  ",
                (execution["started"], "dim"),
                f"  {execution['summary']}",
            )
        )
        inputs, outputs = execution["inputs"], execution["outputs"]
        parameters, versions = execution["parameters"], execution["versions"]
        leaves = [
            *(("from", f"{name}  {artifact['path']}") for name, artifact in inputs.items()),
            *(("data", f"{name}  sha256 {sha[:16]}…") for name, sha in execution["data"].items()),
            *(("made", f"{name}  {artifact['path']}") for name, artifact in outputs.items()),
            ("with", ", ".join(f"{name}={value}" for name, value in parameters.items())),
            ("by", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ]
        for label, text in leaves:
            if text:
                branch.add(Text.assemble((f"{label:<6}", "dim"), text))
        if execution["error"]:
            branch.add(Text.assemble(("error ", "bold red"), execution["error"]))
    for reader in lineage.get("readers", ()):
        tree.add(
            Text.assemble(("read by ", "dim"), f"{reader['component']} execution {reader['id']}")
        )
    _print(tree, stream)


def _print(content: Table | Tree, stream: IO[str]) -> None:
    width = None if stream.isatty() else _WIDE
    Console(file=stream, highlight=False, width=width).print(content)
