"""Every kind of file that is read: damage is named, or what was read is unharmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults.damage import CUTS, FLIPS, SMALL_CUTS, SMALL_FLIPS, try_damage
from faults.subjects import SUBJECTS

SEED = int(os.environ.get("FAULTS_SEED", "0"))


@pytest.mark.parametrize("kind", SUBJECTS)
def test_damage_is_named_or_harmless(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), SMALL_FLIPS, SMALL_CUTS, SEED)
    assert outcomes.wrong == 0, outcomes.examples


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUBJECTS)
def test_no_damage_of_a_large_sample_is_silent(kind: str, tmp_path: Path) -> None:
    outcomes = try_damage(SUBJECTS[kind](tmp_path), FLIPS, CUTS, seed=1)
    assert outcomes.wrong == 0, outcomes.examples
