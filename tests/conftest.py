"""Caches go to a folder of the test session; small fractals serve as data."""

from pathlib import Path

import pytest

from helpers.tokenize_command import TokenizeHere
from seit_cl.data.fractals import write_fractals


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
