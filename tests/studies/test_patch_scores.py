"""Scores of positions are compared by one learner that reads any part of a grid."""

from pathlib import Path

import torch
from rich.console import Console

from seit_cl.learner.augment.tokens import MISSING
from studies.patch_scores import Options, drop_some, keep_best, measure, scores_of


def test_the_positions_of_the_highest_scores_are_kept() -> None:
    tokens = torch.arange(16).view(1, 1, 4, 4)
    kept = keep_best(tokens, torch.arange(16).view(1, 4, 4), 0.25)
    assert kept.flatten().tolist() == [MISSING] * 12 + [12, 13, 14, 15]


def test_about_half_of_the_training_grids_are_whole_and_no_code_changes() -> None:
    tokens = torch.randint(9, (400, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    seen = drop_some(tokens, torch.Generator().manual_seed(1))
    whole = (seen != MISSING).flatten(1).all(1)
    assert 160 < int(whole.sum()) < 240
    share = (seen[~whole] != MISSING).float().mean()
    assert 0.4 < float(share) < 0.6
    assert bool(((seen == tokens) | (seen == MISSING)).all())


def test_scores_of_content_prefer_what_stands_out() -> None:
    codebook = torch.tensor([[0.0], [0.1], [9.0]])
    tokens = torch.zeros((1, 1, 4, 4), dtype=torch.int16)
    tokens[0, 0, 1, 2] = 2
    for name, score in scores_of(codebook, tokens).items():
        scores = score(tokens)
        assert int(scores.flatten().argmax()) == 6, name


def test_the_table_has_whole_grids_and_every_score(fractals: Path) -> None:
    options = Options(fractals, keep=(0.5,), seed=(0,), epochs=1)
    lines = measure(options, Console(quiet=True)).splitlines()
    assert lines[0] == "| score | 32 of 64 positions |"
    assert lines[2].startswith("| whole grids |")
    assert len(lines) == 2 + 1 + 4 + 3
