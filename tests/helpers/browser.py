"""A real Chromium for tests of report.html."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver",)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


class Page:
    """One tab of the browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1024, scheme: str = "light") -> None:
        """Load a file.

        Args:
            path: of the file.
            width: of the window in pixels.
            scheme: of colours, light or dark.
        """
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.resolve().as_uri())

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the DevTools protocol and return its result."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script and return its result."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """The errors and warnings of the console since `open`."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses requested since `open`."""
        urls = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return urls


def _first_installed(names: Sequence[str]) -> str | None:
    """The path of the first program of some names that is installed."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    return None


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium. Without it, tests that need it are skipped, in CI they fail."""
    program = _first_installed(BROWSERS)
    driver = _first_installed(DRIVERS)
    if program is None or driver is None:
        message = "no Chromium with its driver: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    # With a named driver, selenium does not look for one to download.
    session = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Page(session)
    finally:
        session.quit()
