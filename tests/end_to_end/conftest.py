"""Runs the command line as a user does: in a process of its own, with an empty home."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "methodical"]


class CommandLine:
    """The `methodical` command over one pipeline root."""

    def __init__(self, root: pathlib.Path, home: pathlib.Path):
        self.root = root
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "NO_COLOR": "1",
        }

    def arguments(self, *arguments: str) -> list[str]:
        return [*COMMAND, *arguments, "--root", str(self.root)]

    def __call__(self, *arguments: str, code: int = 0, timeout: float = 300) -> dict:
        """Runs a command with `--json`, checks the exit code, returns the document."""
        done = subprocess.run(
            self.arguments(*arguments, "--json"),
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, (
            f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        )
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Starts a command in the background, in a process group of its own."""
        return subprocess.Popen(
            self.arguments(*arguments, "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )

    def run(self, method, *arguments: str, code: int = 0) -> dict:
        """Runs a method's pipeline with its tiny settings."""
        return self("run", method.name, *self.tiny(method), *arguments, code=code)

    def tiny(self, method) -> list[str]:
        """The method's tiny settings as flags."""
        flags = []
        for name, value in method.tiny.items():
            flags += ["--set", f"{name}={json.dumps(value)}"]
        return flags

    def stages(self, run: dict) -> dict[str, dict]:
        """The stages of a run's document by component."""
        return {stage["component"]: stage for stage in run["stages"]}


@pytest.fixture(scope="session")
def command_line(tmp_path_factory):
    """Makes a command line over a new root."""
    home = tmp_path_factory.mktemp("home")

    def make(name: str, copy_of: pathlib.Path | None = None) -> CommandLine:
        root = tmp_path_factory.mktemp(name) / "root"
        if copy_of is not None:
            shutil.copytree(copy_of, root)
        return CommandLine(root, home)

    return make


@pytest.fixture(scope="session")
def finished(command_line):
    """Runs each method's pipeline once with tiny settings: `(command line, run document)`."""
    runs = {}

    def run(method):
        if method.name not in runs:
            line = command_line(f"{method.name}-finished")
            runs[method.name] = line, line.run(method)
        return runs[method.name]

    return run
