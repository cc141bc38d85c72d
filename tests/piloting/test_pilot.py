"""`python -m seit_cl.pilot` from a folder of photographs to its page, resumed, and its refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from seit_cl import pilot
from seit_cl.core.errors import UserError
from seit_cl.experiment import density_measures
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import read_run

PRICES = ["--cost-per-gb-month", "0.02", "--images-per-day", "1000", "--retention-months", "24"]
SMALL = [
    *("--minutes", "0.02", "--epochs", "1", "--experiences", "2", "--seed", "0"),
    *("--memory-mb", "3kB", "--formats", "tokens", "jpeg:quality=10"),
]
Call = Callable[..., str]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command with words; returns what it prints."""

    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["pilot", *map(str, words)])
        pilot.main()
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_a_pilot_goes_from_images_to_a_page_and_the_same_command_only_prices_again(
    call: Call, fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density_measures, "MIN_SECONDS", 0.01)
    out = tmp_path / "out"
    printed = call(fractals, *PRICES, *SMALL, "--out", out)
    page = (out / "pilot.html").read_text()
    (run,) = out.glob("er_tokens_tokens_0.003MB_seed0")
    accuracy = 100 * final_accuracy(read_run(run).accuracy)
    assert f"as tokens ({accuracy:.1f} %)" in page
    assert "no claim is possible with one pair" in page
    assert "Tokens restore no evidence" in page and "data:image/png;base64," in page
    assert "<script" not in page and "://" not in page
    assert "did not bind" not in printed
    assert "Kept as the original files, 1,000 images a day cost" in printed
    measured = pd.read_csv(out / "density.csv")["format"].tolist()
    assert measured[:2] == ["tokens", "jpeg:quality=10,size=64"]
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.suffix != ".html"}
    dearer = ["--cost-per-gb-month", "0.04", *PRICES[2:]]
    again = call(fractals, *dearer, *SMALL, "--out", out)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert "8 of 8 runs are finished already" in again
    assert (out / "pilot.html").read_text() != page
    with pytest.raises(UserError, match="was trained with other --minutes"):
        call(fractals, *PRICES, *SMALL[2:], "--minutes", "0.04", "--out", out)


def test_an_interrupted_pilot_ends_with_the_line_that_goes_on(
    fractals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from seit_cl.piloting import stages

    def interrupt(*args: object, **kwargs: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "run_grid", interrupt)
    words = [str(fractals), *PRICES, "--minutes", "0", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["pilot", *words])
    with pytest.raises(SystemExit) as stop:
        pilot.main()
    assert stop.value.code == 130
    assert (
        f"interrupted; this resumes: python -m seit_cl.pilot {fractals}" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent", *PRICES], "absent"),
        (["DATA", *PRICES[:4]], "--retention-months is required"),
        (["DATA", *PRICES, "--memory-mb", "0"], "--memory-mb 0: must be from one byte"),
        (["DATA", *PRICES, "--minutes", "-1"], "--minutes -1: must be 0"),
        (["DATA", *PRICES[:4], "--retention-months", "1e300"], "must be above 0, at most 1e+12"),
        (["DATA", *PRICES, "--epochs", "0"], "--epochs 0: must be at least 1"),
        (["DATA", *PRICES, "--experiences", "9"], "--experiences 9: "),
        (["DATA", *PRICES, "--resolution", "33"], "--resolution 33: must be a multiple of 8"),
        (["DATA", *PRICES, "--formats", "jpg"], "unknown format 'jpg'"),
        (["DATA", *PRICES, "--formats", "jpeg:quality=0"], "jpeg: quality=0"),
        (["DATA", *PRICES, "--formats", "tokens:coder=x"], "coder=x is none of"),
        (["DATA", "--cost-per-gb-month", "-1", *PRICES[2:]], "--cost-per-gb-month -1: must be"),
        (["DATA/train/CLASS", *PRICES], "CLASS"),
        (["ONE", *PRICES], "ONE: has a single class"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_work(
    call: Call, fractals: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    name = next(path.name for path in sorted((fractals / "train").iterdir()))
    (tmp_path / "ONE").mkdir()
    (tmp_path / "ONE" / name).symlink_to(fractals / "train" / name)
    places = {"DATA": str(fractals), "CLASS": name, "ONE": str(tmp_path / "ONE")}
    for short, path in places.items():
        words = [word.replace(short, path) for word in words]
        message = message.replace(short, path)
    with pytest.raises(UserError) as refusal:
        call(*words, "--out", tmp_path / "out")
    assert message in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()
