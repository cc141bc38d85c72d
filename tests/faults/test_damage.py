"""Every kind of file that is read: damage is named, or what was read is unharmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults.damage import CUTS, FLIPS, SMALL_CUTS, SMALL_FLIPS, damage, try_damage
from faults.subjects import SUBJECTS

from helpers.tokenize_command import TokenizeHere

SEED = int(os.environ.get("FAULTS_SEED", "0"))


@pytest.mark.parametrize("kind", SUBJECTS)
def test_damage_is_named_or_harmless(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), SMALL_FLIPS, SMALL_CUTS, SEED)
    assert outcomes.wrong == 0, outcomes.examples


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tokenizer", ["inspect", "--tokenizer"]),
        ("token file", ["export-seit", "--out", "release", "--tokens"]),
    ],
)
def test_a_command_ends_with_one_line_about_a_damaged_file(
    kind: str,
    words: list[str],
    tmp_path: Path,
    tokenize: TokenizeHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = SUBJECTS[kind](tmp_path).path
    for _, data in damage(path.read_bytes(), 3, 1, SEED):
        path.write_bytes(data)
        ended = tokenize(*words, path)
        assert ended.is_one_line_error, ended
        assert path.name in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUBJECTS)
def test_no_damage_of_a_large_sample_is_silent(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), FLIPS, CUTS, seed=1)
    assert outcomes.wrong == 0, outcomes.examples
