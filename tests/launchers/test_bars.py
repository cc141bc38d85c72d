"""The lines that a grid prints for the runs that end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from seit_cl.config import RunConfig
from seit_cl.grid import run_grid


@pytest.mark.parametrize("advice", [True, False])
def test_advice_on_budgets_is_for_those_who_chose_them_and_warnings_are_for_all(
    advice: bool, fractals: Path, tmp_path: Path
) -> None:
    printed = io.StringIO()
    configs = [
        RunConfig(data_root=fractals, memory_mb=size, experiences=2, epochs=1, device="cpu")
        for size in (1.0, 0.0003)
    ]
    assert run_grid(configs, tmp_path, Console(file=printed), advice=advice) == []
    assert ("the budget did not bind" in printed.getvalue()) == advice
    assert "warning: the memory covers" in printed.getvalue()
