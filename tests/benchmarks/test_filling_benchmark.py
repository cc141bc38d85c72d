"""The filling benchmark: offers of whole steps to a full memory, and what they add to a step."""

import sys
from pathlib import Path

import pytest

from benchmarks import filling as benchmark
from helpers.colour_stream import write_colours


@pytest.fixture
def options(tmp_path: Path) -> benchmark.Options:
    return benchmark.Options(
        data_root=write_colours(tmp_path / "colours"),
        resolution=32,
        batch=8,
        memory_mb=0.001,
        formats=("tokens",),
        steps=3,
        rounds=2,
    )


def test_every_round_starts_from_the_memory_that_the_first_experience_filled(
    options: benchmark.Options,
) -> None:
    training, offers = benchmark.build(options)["tokens"]
    assert sum(len(part) for part in offers.parts) == training.steps * 8
    offers.fill()
    assert offers.memory.full
    assert offers.memory.classes_covered == 4
    offers.restart()
    assert offers.memory.classes_covered == 2


def test_the_page_has_the_cost_of_every_format(
    options: benchmark.Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data-root", str(options.data_root), "--resolution", "32", "--batch", "8"]
    small = ["--memory-mb", "0.001", "--formats", "tokens", "--steps", "3", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", ["filling", *words, *small])
    benchmark.main()
    assert "| tokens |" in capsys.readouterr().out


def test_what_is_added_is_the_offer_and_the_slower_way_to_read() -> None:
    costs = benchmark.Costs(step=[100.0], offer=[1.0], changed=[0.75], unchanged=[0.25])
    assert costs.shares().median == 1.5
