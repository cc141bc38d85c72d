"""Fitting an entropy model: both parts learn from neighbours and are stored as they were fitted."""

import math

import pytest
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats.entropy.compact import rounded_vectors
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.tokenizers.training.entropy import EntropyFitOptions, fit_entropy

CODES = 32


def codebook(each: int = 1, size: int = 16) -> Tensor:
    """Random vectors (each, CODES, size) of a tokenizer."""
    return torch.randn((each, CODES, size), generator=torch.Generator().manual_seed(5))


def grids(count: int, seed: int) -> Tensor:
    """Each token is its left neighbour's successor, but for a tenth of them."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(CODES, (count, 6, 1), generator=generator)
    steady = (first + torch.arange(6)) % CODES
    noise = torch.randint(CODES, steady.shape, generator=generator)
    changed = torch.rand(steady.shape, generator=generator) < 0.1
    return torch.where(changed, noise, steady)[:, None]


def fitted(seed: int = 0) -> EntropyModel:
    options = EntropyFitOptions(
        steps=300, batch=512, learning_rate=1e-2, width=32, embedding=8, groups=CODES + 1, seed=seed
    )
    shares = [(grids(200, 0), 0.5), (grids(100, 1), 0.5)]
    return fit_entropy("made up", CODES, shares, options, lambda *_: None, codebook=codebook())


@pytest.fixture(scope="module")
def model() -> EntropyModel:
    return fitted()


@pytest.mark.parametrize("name", sorted(CODERS))
def test_records_are_short_where_neighbours_predict_tokens(model: EntropyModel, name: str) -> None:
    fresh = grids(300, 2)
    coder = CODERS[name](model, 6, 6)
    records = coder.encode(fresh)
    assert torch.equal(coder.decode(records), fresh[:, 0].short())
    assert float(records.lengths.double().mean()) < 0.55 * 36 * math.log2(CODES) / 8


def test_the_same_seed_fits_the_same_model(model: EntropyModel) -> None:
    state = torch.get_rng_state()
    again = fitted()
    other = fitted(seed=1)
    assert torch.equal(again.last, model.last)
    assert torch.equal(again.left, model.left)
    assert again.compact is not None and model.compact is not None
    assert torch.equal(again.compact.first, model.compact.first)
    assert not torch.equal(other.last, model.last)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_are_within_the_bounds_that_keep_sums_exact(model: EntropyModel) -> None:
    for name in ("embedding", "first", "second", "last"):
        weights = getattr(model, name).long()
        assert getattr(model, name).dtype == torch.int8
        assert int(weights.abs().max()) <= 127
    assert int(255 * model.last.long().abs().sum(1).max() + model.last_bias.abs().max()) < 2**24


def test_further_codes_are_short_where_the_first_ones_predict_them() -> None:
    """Both codes of a position are the same."""
    twice = grids(200, 0).repeat(1, 2, 1, 1)
    options = EntropyFitOptions(steps=120, batch=256, learning_rate=1e-2, width=32, embedding=8)
    shares = [(twice, 1.0)]
    model = fit_entropy("made up", CODES, shares, options, lambda *_: None, codebook=codebook(2))
    fresh = grids(100, 2)
    for name, coder_of in CODERS.items():
        once = coder_of(model.first_codes(1), 6, 6).encode(fresh[:, 0])
        both = coder_of(model, 6, 6).encode(fresh.repeat(1, 2, 1, 1))
        assert both.lengths.sum() < 1.3 * once.lengths.sum(), name
    assert 10 in model.further[0].table_columns


def test_sequences_are_short_where_places_predict_their_tokens() -> None:
    """A token is twice its place, or the code after that."""
    generator = torch.Generator().manual_seed(0)
    sequences = 2 * torch.arange(9) + torch.randint(2, (300, 1, 1, 9), generator=generator)
    options = EntropyFitOptions(steps=120, batch=256, learning_rate=1e-2, width=32, embedding=8)
    shares = [(sequences, 1.0)]
    model = fit_entropy(
        "made up", CODES, shares, options, lambda *_: None, sequences=True, codebook=codebook()
    )
    assert model.length == 9
    for name, coder_of in CODERS.items():
        coder = coder_of(model, 1, 9)
        records = coder.encode(sequences[:, 0])
        assert torch.equal(coder.decode(records), sequences[:, 0].short())
        assert float(records.lengths.double().mean()) < 9 * 1.5 / 8 + 1, name


def test_the_compact_network_codes_with_the_tokenizers_vectors(model: EntropyModel) -> None:
    assert model.compact is not None
    assert torch.equal(model.compact.vectors, rounded_vectors(codebook()[0]))
    assert int(model.compact.vectors.abs().max()) == 127
    assert model.compact.nbytes < 4000 < model.network_bytes


def test_vectors_too_long_for_a_compact_network_leave_it_out() -> None:
    options = EntropyFitOptions(steps=2, batch=8, width=4, embedding=2)
    long = codebook(size=65)
    shares = [(grids(5, 0), 1.0)]
    model = fit_entropy("made up", CODES, shares, options, lambda *_: None, codebook=long)
    assert model.compact is None
    with pytest.raises(UserError, match=r"coder=compact: .* has no compact network; fit it again"):
        CODERS["compact"](model, 6, 6)
