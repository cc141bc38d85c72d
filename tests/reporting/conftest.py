"""A report in a real Chromium, made once for all tests of its page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.browser import Page, browser
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.reporting.build import build_report

EVIL = "</script><img src=x onerror=window.evil=1>"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Page]:
    """A tab of the browser."""
    with browser() as page:
        yield page


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with finished, unfinished and damaged runs."""
    out = tmp_path_factory.mktemp("page")
    write_grid(out)
    write_run(out, strategy="er_ace", memory=100_000)
    write_run(out, seed=7, finish=False)
    write_run(out, seed=8, device=EVIL)
    (out / "broken").mkdir()
    (out / "broken" / "config.yaml").write_text(f"strategy: '{EVIL}'\na: [1, 2")
    build_report(out)
    return out


@pytest.fixture
def page(chromium: Page, folder: Path) -> Page:
    """The page of the report, just loaded."""
    chromium.open(folder / "report.html")
    return chromium
