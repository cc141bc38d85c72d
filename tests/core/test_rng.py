"""Named generators are independent and resume."""

import torch

from seit_cl.core.rng import PURPOSES, Generators, derive_seed


def test_every_purpose_and_seed_has_its_own_stream() -> None:
    seeds = [derive_seed(0, purpose) for purpose in PURPOSES]
    seeds += [derive_seed(1, purpose) for purpose in PURPOSES]
    assert len(set(seeds)) == 2 * len(PURPOSES)


def test_drawing_for_one_purpose_changes_no_other() -> None:
    used = Generators(0)
    unused = Generators(0)
    torch.rand(100, generator=used["replay"])
    drawn = torch.rand(4, generator=used["fresh order"])
    assert torch.equal(drawn, torch.rand(4, generator=unused["fresh order"]))


def test_a_saved_state_continues_the_stream() -> None:
    generators = Generators(0)
    state = generators.state_dict()
    expected = torch.rand(4, generator=generators["replay augmentation"])
    other = Generators(9)
    other.load_state_dict(state)
    assert torch.equal(torch.rand(4, generator=other["replay augmentation"]), expected)
