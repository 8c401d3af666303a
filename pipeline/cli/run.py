"""`methodical run`: checks all that can be checked before anything runs, then runs or plans."""

from __future__ import annotations

import copy
import inspect
import os
import shlex
import sys
from typing import IO, Any

import click

from .options import DEFAULT_ROOT, fail, find_method, json_option, root_option, write_json
from .streams import only_json_on_stdout, own_stream, sign_of_life


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


@click.command("run", cls=_WithBeamFlags)
@click.argument("method_name", metavar="METHOD")
@click.option("--data", "source", metavar="SOURCE", help="Source of examples; see the list.")
@click.option("--data-dir", metavar="PATH", help="Your data: a file or folder.")
@root_option()
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
@json_option
@click.pass_context
def run_command(
    ctx: click.Context,
    method_name: str,
    dry_run: bool,
    as_json: bool,
    **options: Any,
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
    with only_json_on_stdout(as_json) as document:
        with own_stream(sys.stderr if as_json else document) as (stream, is_own):
            with sign_of_life(f"methodical run {method_name} …"):
                runner = _new_runner(ctx, method_name, options, stream, is_own)
            if dry_run:
                from ..metadata.database import MetadataError
                from .screen import show_plan

                try:
                    record = runner.plan()
                except MetadataError as error:
                    fail(str(error))
                show_plan(record, stream)
            else:
                record = runner.run()
        if as_json:
            write_json(record, document)
    raise SystemExit(record["exit_code"])


def _new_runner(
    ctx: click.Context,
    method_name: str,
    options: dict[str, Any],
    stream: IO[str],
    capture_stderr: bool,
) -> Any:
    """Checks all that can be checked before anything runs."""
    beam_arguments = ctx.meta.get("beam_arguments", ())
    method = find_method(method_name)
    from ..run import settings

    try:
        values: dict[str, Any] = {}
        if options["config"]:
            configured, values = settings.read_config(options["config"])
            for name, value in configured.items():
                parameter = "source" if name == "data" else name
                origin = ctx.get_parameter_source(parameter)
                if origin is not click.core.ParameterSource.COMMANDLINE:
                    options[parameter] = value
        values.update(settings.parse_assignments(options["assignments"]))
        from ..run.build import build_pipeline, find_source

        source, _ = find_source(method, options["source"], options["data_dir"])
        pipeline = build_pipeline(
            method, source, values, data_dir=options["data_dir"], beam_arguments=beam_arguments
        )
        if beam_arguments:
            from ..run.beam_flags import check_beam_flags

            check_beam_flags(beam_arguments)

        def render(record: dict[str, Any], root: str) -> str:
            from ..report.report import render_report

            return render_report(record, root, method)

        from ..run.runner import Runner
        from .predict import example_command
        from .screen import new_screen

        return Runner(
            pipeline,
            options["root"],
            from_stage=options["from_stage"],
            to_stage=options["to_stage"],
            use_cache=not options["no_cache"],
            command=shlex.join(["methodical", *_arguments()]),
            ask_command=lambda: example_command(
                method.name, options["root"], _named_root(options["root"])
            ),
            listener=new_screen(stream),
            report=render,
            capture_stderr=capture_stderr,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _named_root(root: str) -> str | None:
    """Returns a root as the option `--root` must name it, or `None` where it is the default."""
    return None if root == (os.environ.get("METHODICAL_ROOT") or DEFAULT_ROOT) else root


def _arguments() -> list[str]:
    """Returns the command line without what only changes how a run is shown."""
    return [argument for argument in sys.argv[1:] if argument != "--json"]
