"""The command line: `methodical list | run | runs | lineage | report | predict | push | …`.

Everything beyond click is imported inside the commands, so that help and usage errors come at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from .history import lineage_command, report_command, results_command, runs_command
from .options import fail, find_method, json_option, root_option, write_json
from .run import run_command


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(None, "--version", package_name="methodical")
def main() -> None:
    """Landmark machine-learning methods, each with a production pipeline.

    \b
    Begin with:  methodical list
                 methodical run babi
                 methodical predict babi --help
    """
    # Before any library is loaded: TensorFlow's information and warnings stay off the screen.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    from ..run.run_log import errors_to_stderr

    errors_to_stderr()


for _command in (run_command, runs_command, lineage_command, report_command, results_command):
    main.add_command(_command)


@main.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Show the methods and their sources of data."""
    from .. import methods

    entries = [methods.find(name) for name in methods.names()]
    if as_json:
        write_json(
            [
                {
                    "name": entry.name,
                    "title": entry.title,
                    "paper": entry.paper,
                    "sources": {name: source.description for name, source in entry.sources.items()},
                }
                for entry in entries
            ]
        )
        return
    for entry in entries:
        click.echo(f"{entry.name}  {entry.title}\n  {entry.paper}")
        for name, source in entry.sources.items():
            flag = f"--data {name}" + (" --data-dir PATH" if source.needs_data_dir else "")
            click.echo(f"  {flag:<32} {source.description}")


@main.command("doctor")
@root_option()
@json_option
def doctor_command(root: str, as_json: bool) -> None:
    """Check Python, the dependencies, memory, disk and the root."""
    from .doctor import examine

    findings = examine(root)
    broken = [finding for finding in findings if finding["state"] == "broken"]
    if as_json:
        write_json({"ok": not broken, "findings": findings})
    else:
        for finding in findings:
            click.echo(f"{finding['state']:<7} {finding['name']:<26} {finding['detail']}")
        click.echo("Something is broken." if broken else "All is well.")
    raise SystemExit(1 if broken else 0)


class _MethodCommands(click.Group):
    """A group whose commands are the methods, made when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from .. import methods

        return methods.names()

    def get_command(
        self, ctx: click.Context, cmd_name: str, args: Sequence[str] = ()
    ) -> click.Command:
        from .predict import predict_command

        name = find_method(cmd_name).name
        return predict_command(ctx, name, args, root_option(), json_option)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return args[0], self.get_command(ctx, args[0], args[1:]), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Methods"):
            formatter.write_text(", ".join(self.list_commands(ctx)))


@main.command("predict", cls=_MethodCommands, subcommand_metavar="METHOD [INPUTS]…")
def predict_group() -> None:
    """Ask the pushed model of a method.

    `methodical predict METHOD --help` names its inputs.
    """


@main.command("push")
@click.argument("method_name", metavar="METHOD")
@click.option("--rollback", is_flag=True, help="Serve an earlier version again.")
@click.option("--to", "version", type=int, help="The version to serve; default: the one before.")
@root_option()
@json_option
def push_command(
    method_name: str, rollback: bool, version: int | None, root: str, as_json: bool
) -> None:
    """Change which pushed version of a method is served."""
    find_method(method_name)
    if not rollback:
        raise click.UsageError(
            "`methodical run` pushes models; this changes the served version: add --rollback."
        )
    from ...components.pusher import versions
    from ..run.faults import LOCKED
    from ..run.lock import LockedError, hold
    from ..run.root import Root

    place = Root(root)
    try:
        with hold(place.lock, f"push {method_name} --rollback"):
            served = versions.roll_back(place.serving, method_name, version)
    except LockedError as error:
        fail(str(error), LOCKED)
    except (ValueError, FileNotFoundError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        write_json({"method": method_name, "version": served, "serving": place.serving})
    else:
        click.echo(f"{method_name}: version {served} is served from {place.serving}")


if __name__ == "__main__":
    main()
