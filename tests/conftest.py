import os
import pathlib
from typing import Any

import pytest


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real data; tests that ask for it carry the mark `data`."""
    folder = os.environ.get("METHODICAL_TEST_DATA", "")
    if not folder:
        pytest.skip("no real data: set METHODICAL_TEST_DATA to its folder")
    path = pathlib.Path(folder)
    if not path.is_dir():
        pytest.skip(f"no real data: METHODICAL_TEST_DATA={folder} is not a folder")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the end-to-end tests: they take longest, and the other worker does the rest."""
    items.sort(key=lambda item: "end_to_end" not in item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives whole files to a worker, but of the end-to-end suite the tests of one method.

    Tests of a file share what its fixtures make, and those of a method its run.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFileAndMethod(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return (
                file + nodeid[nodeid.find("[") :] if "end_to_end/test_pipelines" in file else file
            )

    return ByFileAndMethod(config, log)
