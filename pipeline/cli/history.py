"""The commands that read a root: runs, lineage, report, results."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from .options import json_option, root_option, store_errors, write_json
from .streams import only_json_on_stdout


@click.command("runs")
@root_option()
@json_option
def runs_command(root: str, as_json: bool) -> None:
    """Show the runs of a root, the newest first."""
    from ..run.history import runs
    from .tables import show_runs

    with store_errors():
        known = runs(root)
    if as_json:
        write_json(known)
    elif not known:
        click.echo(f"No run yet in {os.path.abspath(root)}. Begin with: methodical run babi")
    else:
        show_runs(known, sys.stdout)


@click.command("lineage")
@click.argument("what", metavar="[RUN|EXECUTION|ARTIFACT]", required=False)
@root_option()
@json_option
def lineage_command(what: str | None, root: str, as_json: bool) -> None:
    """Show who made what from what.

    Of a run, of an execution by its id, or of an artifact by its path; without an argument of the
    last run.
    """
    from ..metadata.lineage import lineage
    from ..run.history import open_store
    from ..run.root import Root
    from .tables import show_lineage

    place = Root(root)
    with store_errors(), open_store(place) as store:
        led_to_it = lineage(store, place.path, what)
    if as_json:
        write_json(led_to_it)
    else:
        show_lineage(led_to_it, sys.stdout)


@click.command("report")
@click.argument("run_id", metavar="[RUN]", required=False)
@root_option()
@click.option("--open", "open_it", is_flag=True, help="Open the report in the browser.")
@json_option
def report_command(run_id: str | None, root: str, open_it: bool, as_json: bool) -> None:
    """Render a run's report again and print its path.

    Without RUN: of the last run.
    """
    from .. import methods
    from ..report.report import render_report
    from ..run.history import find_record
    from ..run.root import Root

    with only_json_on_stdout(as_json) as document:
        with store_errors():
            record = find_record(root, run_id)
        method = methods.find_if_registered(record["method"])
        path = render_report(record, Root(root).path, method)
        if as_json:
            write_json({"run_id": record["run_id"], "report": path}, document)
        else:
            click.echo(path)
        if open_it:
            click.launch(path)


@click.command("results")
@root_option(multiple=True)
@json_option
def results_command(roots: Sequence[str], as_json: bool) -> None:
    """Write the results of runs as a page in Markdown.

    \b
    methodical results --root A --root B > docs/results.md
    """
    from ..report.results import collect, markdown

    with store_errors():
        records = collect(roots)
    if as_json:
        write_json(records)
    else:
        click.echo(markdown(records))
