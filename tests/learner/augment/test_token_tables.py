"""Tables computed from a codebook."""

from __future__ import annotations

import torch

from helpers.token_grids import codebook
from seit_cl.learner.augment.token_tables import nearest_codes, row_tables


def test_the_nearest_codes_are_those_of_least_distance_without_the_code_itself() -> None:
    book = codebook(2, 37)
    table = nearest_codes(book, 5, chunk=10)
    for g in range(2):
        distance = torch.cdist(book[g], book[g]).fill_diagonal_(torch.inf)
        assert torch.equal(table[g], distance.topk(5, largest=False).indices)
    assert nearest_codes(book[:, :3], 5).shape == (2, 3, 2)
    assert nearest_codes(book[:, :1], 5).shape == (2, 1, 0)


def test_tables_of_rows_keep_every_code_within_its_group_and_end_with_the_code_itself() -> None:
    neighbours = nearest_codes(codebook(2, 37), 5)
    mirror = torch.stack([torch.arange(37).roll(3), torch.arange(36, -1, -1)])
    synonyms, mirror_rows = row_tables(neighbours, mirror)
    assert torch.equal(synonyms[:, 5], torch.arange(2 * 37))
    assert torch.equal(synonyms[:37, :5], neighbours[0])
    assert torch.equal(synonyms[37:, :5], neighbours[1] + 37)
    assert mirror_rows is not None
    assert torch.equal(mirror_rows, torch.cat([mirror[0], mirror[1] + 37]))
    assert row_tables(neighbours, None)[1] is None
