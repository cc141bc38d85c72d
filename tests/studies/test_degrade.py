"""The study of cut levels: its arms differ as they say, and its tables add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tokenizer_samples import residual, untrained
from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from studies.degrade import arms, code_lengths, page, study
from studies.plan import run_all


@pytest.fixture
def options(tmp_path: Path) -> study.Options:
    """Options on a folder of five classes, with tokenizers of random weights."""
    root = write_fractals(tmp_path / "data", 5, 6, 2, 64)
    residual().save(tmp_path / "levels.safetensors")
    untrained().save(tmp_path / "one.safetensors")
    return study.Options(
        data_root=root,
        levels=tmp_path / "levels.safetensors",
        one=tmp_path / "one.safetensors",
        out=tmp_path / "out",
        arm=("degrade", "first"),
        budgets=(0.002,),
        seed=(0,),
        epochs=1,
    )


def test_every_arm_has_runs_of_its_own(options: study.Options) -> None:
    planned = list(study.cases(replace(options, arm=tuple(arms.ARMS), seed=(0, 3))))
    assert len({case.folder for case in planned}) == len(arms.ARMS)
    assert len(set(planned)) == len(planned) == 2 * len(arms.ARMS)
    for first, second, _ in arms.DIFFERENCES:
        assert {first, second} <= set(arms.ARMS)


def test_the_page_counts_exemplars_by_levels_and_pairs_runs(options: study.Options) -> None:
    run_all(list(study.cases(options)), options)
    text = page.study_page(options.out, options.levels, options.data_root, "command")
    assert "`degrade` - `first` | 0.002 |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| `degrade`:")]
    counts = row.split(" | ")[4].split(", ")
    assert len(counts) == 3
    assert sum(map(int, counts)) == int(row.split(" | ")[3])
    assert "## Bytes of a level" in text


def test_code_lengths_are_those_of_the_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(8, (3000, 4, 4), generator=generator)
    assert code_lengths.code_length(codes, codes, None, 8) == pytest.approx(16 * 3 / 8, rel=0.01)
    # A context that tells the code leaves almost nothing to be coded.
    told = code_lengths.code_length(codes, codes, [codes, codes], 8)
    assert told < 0.5
    untold = code_lengths.code_length(codes, codes, [codes * 0, codes * 0], 8)
    assert untold == pytest.approx(6, rel=0.02)


def test_an_unknown_arm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--data-root", ".", "--levels", "x", "--one", "x", "--out", "x", "--arm", "degrad"]
    monkeypatch.setattr("sys.argv", ["degrade", *words])
    with pytest.raises(UserError, match="did you mean 'degrade'"):
        study._main()
