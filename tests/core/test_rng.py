"""Named generators are independent and resume."""

import torch

from seit_cl.core.rng import PURPOSES, Generators, derive_seed


def test_every_purpose_and_seed_has_its_own_stream() -> None:
    assert len({derive_seed(seed, purpose) for seed in (0, 1) for purpose in PURPOSES}) == 2 * len(
        PURPOSES
    )


def test_drawing_for_one_purpose_moves_no_other() -> None:
    a, b = Generators(0), Generators(0)
    torch.rand(100, generator=a["replay"])
    assert torch.equal(
        torch.rand(4, generator=a["fresh order"]), torch.rand(4, generator=b["fresh order"])
    )


def test_a_saved_state_continues_the_stream() -> None:
    generators = Generators(0)
    state = generators.state_dict()
    expected = torch.rand(4, generator=generators["mixing"])
    other = Generators(9)
    other.load_state_dict(state)
    assert torch.equal(torch.rand(4, generator=other["mixing"]), expected)
