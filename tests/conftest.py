import os
import pathlib

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
