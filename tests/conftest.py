"""Caches go to a folder of the test session; small fractals serve as data."""

import time
from pathlib import Path

import pytest

from helpers.tokenize_command import TokenizeHere
from seit_cl.data.fractals import write_fractals

_STARTED = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --minutes, for machines on which all slow tests would take too long."""
    parser.addoption(
        "--minutes", type=float, help="skip the tests that have not begun after so many minutes"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test when the time of --minutes is over."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - _STARTED > 60 * minutes:
        pytest.skip(f"the {minutes:g} minutes are over")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    patch = pytest.MonkeyPatch()
    patch.setenv("SEIT_CL_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def fractals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of 5 classes, 16 train and 6 val images each, at 64 px."""
    return write_fractals(tmp_path_factory.mktemp("data") / "fractals", 5, 16, 6, 64)


@pytest.fixture
def tokenize(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TokenizeHere:
    """`python -m seit_cl.tokenize` in the test's process, called with its words."""
    return TokenizeHere(monkeypatch, capsys)
