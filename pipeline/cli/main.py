"""The command line: `methodical list | run | runs | lineage | report | predict | push | …`.

Everything beyond click is imported inside the commands, so that help and usage errors come at once.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

_DEFAULT_ROOT = "./methodical_root"


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


def _root_option(multiple: bool = False) -> Callable[[Any], Any]:
    return click.option(
        "--root",
        "roots" if multiple else "root",
        default=(_DEFAULT_ROOT,) if multiple else _DEFAULT_ROOT,
        envvar="METHODICAL_ROOT",
        show_default=True,
        show_envvar=True,
        multiple=multiple,
        metavar="DIR",
        help="The pipeline root: artifacts, metadata, reports, pushed models.",
    )


_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document to stdout."
)


def _names_method(name: str) -> Any:
    from .. import methods

    try:
        return methods.find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _write_json(value: Any, stream: IO[str] | None = None) -> None:
    json.dump(value, stream or sys.stdout, indent=1, ensure_ascii=False)
    (stream or sys.stdout).write("\n")


def _fail(message: str, code: int = 1) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)


@contextmanager
def _only_json_on_stdout(wanted: bool) -> Iterator[IO[str]]:
    """Yields where the document goes; whatever else is written to stdout goes to stderr."""
    if not wanted:
        yield sys.stdout
        return
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            is_real = stdout.fileno() == 1
        except OSError:
            is_real = False
        if not is_real:
            yield stdout
            return
        # Native code and child processes write to the file descriptor.
        stdout.flush()
        saved = os.dup(1)
        os.dup2(2, 1)
        with open(saved, "w", encoding="utf-8") as document:
            try:
                yield document
            finally:
                document.flush()
                os.dup2(saved, 1)


@contextmanager
def _own_stream(stream: IO[str]) -> Iterator[tuple[IO[str], bool]]:
    """Yields a copy of a stream for the screen, so that stderr can be sent to the run's log.

    A stream without a file descriptor is yielded itself.
    """
    try:
        descriptor = os.dup(stream.fileno())
    except OSError:
        yield stream, False
        return
    with open(descriptor, "w", encoding="utf-8") as own:
        yield own, True


@contextmanager
def _sign_of_life(text: str) -> Iterator[None]:
    """Shows a line on a terminal until something better can be shown."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if shown:
        sys.stderr.write(text)
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class _WithBeamFlags(click.Command):
    """A command whose arguments after `--` are Beam flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["beam_arguments"] = args[:at], tuple(args[at + 1 :])
        ctx.meta["arguments"] = tuple(args)
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help, with examples for the method that stands before `--help`."""
        from .. import methods

        named = [name for name in ctx.meta["arguments"] if name in methods.names()]
        shown = copy.copy(self)
        if named and self.help:
            examples = _run_examples(methods.find(named[0]))
            shown.help = inspect.cleandoc(self.help).replace(_RUN_EXAMPLES, examples)
        super(_WithBeamFlags, shown).format_help_text(ctx, formatter)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- BEAM_FLAGS…]"]


_RUN_EXAMPLES = """methodical run babi
methodical run babi --data files --data-dir en.tar.xz --set trainer.epochs=30
methodical run babi -- --runner=FnApiRunner --direct_num_workers=2"""


def _run_examples(method: Any) -> str:
    """Returns the examples of `run METHOD --help`."""
    command = f"methodical run {method.name}"
    sources = method.sources.items()
    own = [f" --data {name} --data-dir PATH" for name, source in sources if source.needs_data_dir]
    flags = " -- --runner=FnApiRunner --direct_num_workers=2"
    return "\n".join(f"{command}{more}" for more in ("", *own, flags))


@main.command("list")
@_json_option
def list_command(as_json: bool) -> None:
    """Show the methods and their sources of data."""
    from .. import methods

    entries = [methods.find(name) for name in methods.names()]
    if as_json:
        _write_json(
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


@main.command("run", cls=_WithBeamFlags)
@click.argument("method_name", metavar="METHOD")
@click.option("--data", "source", metavar="SOURCE", help="Source of examples; see the list.")
@click.option("--data-dir", metavar="PATH", help="Your data: a file or folder.")
@_root_option()
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="COMPONENT.PARAMETER=VALUE",
    help="A parameter of a stage; may be repeated.",
)
@click.option("--config", metavar="FILE", help="JSON file with the same options and parameters.")
@click.option("--from-stage", metavar="STAGE", help="Run this stage and what hangs on it again.")
@click.option("--to-stage", metavar="STAGE", help="Run only this stage and what it needs.")
@click.option("--no-cache", is_flag=True, help="Run every stage again.")
@click.option("--dry-run", is_flag=True, help="Show what is cached and why; write nothing.")
@_json_option
@click.pass_context
def run_command(
    ctx: click.Context,
    method_name: str,
    source: str | None,
    data_dir: str | None,
    root: str,
    assignments: Sequence[str],
    config: str | None,
    from_stage: str | None,
    to_stage: str | None,
    no_cache: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a method from its data to a pushed model.

    \b
    methodical run babi
    methodical run babi --data files --data-dir en.tar.xz --set trainer.epochs=30
    methodical run babi -- --runner=FnApiRunner --direct_num_workers=2

    Finished stages are cached: the same command again goes on where it was interrupted.

    \b
    Exit codes: 0 done, 1 crash, 2 usage, 3 bad data, 4 not blessed, 5 not infra-blessed,
    6 another run holds the root, 130 interrupted.
    """
    with _only_json_on_stdout(as_json) as document:
        with _own_stream(sys.stderr if as_json else document) as (stream, is_own):
            with _sign_of_life(f"methodical run {method_name} …"):
                runner = _new_runner(ctx, stream, is_own)
            if dry_run:
                from ..metadata.metadata_store import MetadataError
                from .screen import show_plan

                try:
                    record = runner.plan()
                except MetadataError as error:
                    _fail(str(error))
                show_plan(record, stream)
            else:
                record = runner.run()
        if as_json:
            _write_json(record, document)
    raise SystemExit(record["exit_code"])


def _new_runner(ctx: click.Context, stream: IO[str], capture_stderr: bool) -> Any:
    """Checks all that can be checked before anything runs."""
    options = dict(ctx.params)
    beam_arguments = ctx.meta.get("beam_arguments", ())
    method = _names_method(options["method_name"])
    from ..run import settings

    try:
        values: dict[str, Any] = {}
        if options["config"]:
            given, values = settings.read_config(options["config"])
            for name, value in given.items():
                parameter = "source" if name == "data" else name
                if (
                    ctx.get_parameter_source(parameter)
                    is not click.core.ParameterSource.COMMANDLINE
                ):
                    options[parameter] = value
        values.update(settings.parse_assignments(options["assignments"]))
        from ..run.build import build_pipeline, find_source

        source, _ = find_source(method, options["source"], options["data_dir"])
        components = build_pipeline(method, source, values)
        if beam_arguments:
            from ..run.beam_flags import check_beam_flags

            check_beam_flags(beam_arguments)
        from ..run.runner import Runner
        from .predict import example_command
        from .screen import new_screen

        return Runner(
            components,
            method=method.name,
            title=method.title,
            source=source,
            root=options["root"],
            data_dir=options["data_dir"],
            beam_arguments=beam_arguments,
            from_stage=options["from_stage"],
            to_stage=options["to_stage"],
            use_cache=not options["no_cache"],
            command=shlex.join(["methodical", *_arguments()]),
            ask_command=example_command(method, _named_root(options["root"])),
            listener=new_screen(stream),
            report=lambda record, root: _render_report(record, root, method),
            capture_stderr=capture_stderr,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _named_root(root: str) -> str | None:
    """Returns a root as the option `--root` must name it, or `None` where it is the default."""
    return None if root == (os.environ.get("METHODICAL_ROOT") or _DEFAULT_ROOT) else root


def _arguments() -> list[str]:
    """Returns the command line without what only changes how a run is shown."""
    return [argument for argument in sys.argv[1:] if argument != "--json"]


def _render_report(record: dict[str, Any], root: str, method: Any) -> str:
    from ..report.report import render_report

    return render_report(record, root, method)


@main.command("runs")
@_root_option()
@_json_option
def runs_command(root: str, as_json: bool) -> None:
    """Show the runs of a root, the newest first."""
    from ..metadata.history import runs, runs_table

    with _store_errors():
        found = runs(root)
    if as_json:
        _write_json(found)
    elif not found:
        click.echo(f"No run yet in {os.path.abspath(root)}. Begin with: methodical run babi")
    else:
        runs_table(found, sys.stdout)


@main.command("lineage")
@click.argument("what", metavar="[RUN|EXECUTION|ARTIFACT]", required=False)
@_root_option()
@_json_option
def lineage_command(what: str | None, root: str, as_json: bool) -> None:
    """Show who made what from what.

    Of a run, of an execution by its id, or of an artifact by its path; without an argument of the
    last run.
    """
    from ..metadata.history import lineage, lineage_tree

    with _store_errors():
        found = lineage(root, what)
    if as_json:
        _write_json(found)
    else:
        lineage_tree(found, sys.stdout)


@main.command("report")
@click.argument("run_id", metavar="[RUN]", required=False)
@_root_option()
@click.option("--open", "open_it", is_flag=True, help="Open the report in the browser.")
@_json_option
def report_command(run_id: str | None, root: str, open_it: bool, as_json: bool) -> None:
    """Render a run's report again and print its path.

    Without RUN: of the last run.
    """
    from .. import methods
    from ..metadata.history import find_record

    with _only_json_on_stdout(as_json) as document:
        with _store_errors():
            record = find_record(root, run_id)
        known = record["method"] in methods.names()
        method = methods.find(record["method"]) if known else None
        path = _render_report(record, os.path.abspath(root) if "://" not in root else root, method)
        if as_json:
            _write_json({"run_id": record["run_id"], "report": path}, document)
        else:
            click.echo(path)
        if open_it:
            click.launch(path)


@main.command("results")
@_root_option(multiple=True)
@_json_option
def results_command(roots: Sequence[str], as_json: bool) -> None:
    """Write the results of runs as a page in Markdown.

    \b
    methodical results --root A --root B > docs/results.md
    """
    from ..report.results import collect, markdown

    with _store_errors():
        found = collect(roots)
    if as_json:
        _write_json(found)
    else:
        click.echo(markdown(found))


@main.command("doctor")
@_root_option()
@_json_option
def doctor_command(root: str, as_json: bool) -> None:
    """Check Python, the dependencies, memory, disk and the root."""
    from .doctor import examine

    findings = examine(root)
    broken = [finding for finding in findings if finding["state"] == "broken"]
    if as_json:
        _write_json({"ok": not broken, "findings": findings})
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

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        from .predict import predict_command

        return predict_command(_names_method(cmd_name), _root_option(), _json_option)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return args[0], self.get_command(ctx, args[0]), args[1:]

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
@_root_option()
@_json_option
def push_command(
    method_name: str, rollback: bool, version: int | None, root: str, as_json: bool
) -> None:
    """Change which pushed version of a method is served."""
    _names_method(method_name)
    if not rollback:
        raise click.UsageError(
            "`methodical run` pushes models; this changes the served version: add --rollback."
        )
    from ...components.pusher import versions
    from ..run.faults import LOCKED
    from ..run.lock import Lock, LockedError
    from ..run.root import Root

    place = Root(root)
    try:
        with Lock(place.lock, f"push {method_name} --rollback"):
            served = versions.roll_back(place.serving, method_name, version)
    except LockedError as error:
        _fail(str(error), LOCKED)
    except (ValueError, FileNotFoundError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        _write_json({"method": method_name, "version": served, "serving": place.serving})
    else:
        click.echo(f"{method_name}: version {served} is served from {place.serving}")


@contextmanager
def _store_errors() -> Iterator[None]:
    from ..metadata.metadata_store import MetadataError

    try:
        yield
    except (MetadataError, FileNotFoundError) as error:
        _fail(str(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
