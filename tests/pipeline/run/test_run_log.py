"""Where the words of libraries go."""

import logging
import pathlib
import subprocess
import sys
import warnings

import pytest
from methodical.pipeline.run.run_log import logged_to


@pytest.mark.filterwarnings("default:old")
def test_all_goes_to_the_file_and_errors_to_the_screen_too(tmp_path):
    shown = []
    path = tmp_path / "runs" / "log.txt"
    with logged_to(str(path), shown.append):
        logging.getLogger("library").warning("careful")
        logging.getLogger("library").error("broken")
        warnings.warn("old", stacklevel=1)
    text = path.read_text()
    for part in ("careful", "broken", "old"):
        assert part in text
    assert shown == ["library: broken"]
    logging.getLogger("library").error("later")
    assert "later" not in path.read_text()


def test_native_noise_goes_to_the_file_and_a_native_crash_is_seen(tmp_path):
    path = tmp_path / "log.txt"
    script = f"""
import os, signal
from methodical.pipeline.run.run_log import logged_to
with logged_to({str(path)!r}, print, capture_stderr=True):
    os.system("echo noise >&2")
os.system("echo after >&2")
with logged_to({str(path)!r}, print, capture_stderr=True):
    os.kill(os.getpid(), signal.SIGSEGV)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert pathlib.Path(path).read_text() == "noise\n"
    assert done.stderr.startswith("after\n")
    assert "Segmentation fault" in done.stderr
