"""Entropy-coded grids: decoded exactly, alone or in a batch, at the size of their information."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from helpers.random_entropy import random_model
from seit_cl.formats._records import Records
from seit_cl.formats.entropy.columns import columns_of, neighbours_of
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import load_entropy
from seit_cl.formats.entropy.range_coder import BITS

# Names of tensors of golden.safetensors; "table" was "ans" at first.
GOLDEN_NAMES = {"table": "ans", "context": "context", "compact": "compact"}
coders = pytest.mark.parametrize("name", sorted(CODERS))


@coders
@given(
    st.integers(0, 2**31),
    st.integers(1, 300),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
)
@settings(max_examples=25, deadline=None)
def test_grids_are_decoded_exactly_for_any_model(
    name: str, seed: int, codes: int, height: int, width: int, count: int
) -> None:
    coder = CODERS[name](random_model(codes, seed), height, width)
    grids = torch.randint(
        codes, (count, height, width), generator=torch.Generator().manual_seed(seed)
    )
    records = coder.encode(grids)
    assert len(records) == count
    assert torch.equal(coder.decode(records), grids.short())


@coders
@given(
    seed=st.integers(0, 2**31),
    codes=st.integers(2, 60),
    each=st.integers(1, 5),
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    sequence=st.booleans(),
    count=st.integers(0, 4),
)
@settings(max_examples=25, deadline=None)
def test_several_codes_a_position_and_sequences_are_decoded_exactly(
    name: str,
    seed: int,
    codes: int,
    each: int,
    sides: tuple[int, int],
    sequence: bool,
    count: int,
) -> None:
    height, width = (1, sides[0] * sides[1]) if sequence else sides
    model = random_model(codes, seed, each=each, length=width if sequence else 0)
    coder = CODERS[name](model, height, width)
    assert coder.grid_shape == ((each, height, width) if each > 1 else (height, width))
    generator = torch.Generator().manual_seed(seed)
    grids = torch.randint(codes, (count, *coder.grid_shape), generator=generator)
    assert torch.equal(coder.decode(coder.encode(grids)), grids.short())


@coders
def test_the_first_codes_are_coded_as_if_there_were_no_further_ones(name: str) -> None:
    model = random_model(64, each=4)
    generator = torch.Generator().manual_seed(0)
    grids = torch.randint(64, (5, 4, 3, 3), generator=generator)
    changed = grids.clone()
    changed[:, 2:] = 63 - changed[:, 2:]
    lengths = []
    for each in (1, 2, 3, 4):
        coder = CODERS[name](model.first_codes(each), 3, 3)
        part = grids[:, :each].reshape(5, *coder.grid_shape)
        records = coder.encode(part)
        assert torch.equal(coder.decode(records), part.short())
        lengths.append(int(records.lengths.sum()))
    assert lengths == sorted(lengths)
    whole = CODERS[name](model, 3, 3)
    # The bytes of the first two codes are those of their own record, but for its last ones.
    first = CODERS[name](model.first_codes(2), 3, 3).encode(grids[:, :2]).to_bytes()
    for both in (whole.encode(grids).to_bytes(), whole.encode(changed).to_bytes()):
        for record, begun in zip(both, first, strict=True):
            assert record[: len(begun) - 2] == begun[:-2]


def test_a_further_code_knows_the_codes_of_its_position_and_its_place() -> None:
    model = random_model(64, each=3, length=9).further[1]
    grids = torch.randint(64, (6, 3, 1, 9), generator=torch.Generator().manual_seed(1))
    known = columns_of(model, grids, 2, range(model.columns))
    assert torch.equal(known[..., 10], grids[:, 1])
    assert torch.equal(known[..., 11], grids[:, 0])
    assert torch.equal(known[..., 12], torch.arange(9).expand(6, 1, 9))
    assert torch.equal(known[:, 0, 1:, 0], grids[:, 2, 0, :-1])


@coders
def test_a_record_is_the_same_in_every_batch_and_decodes_alone(name: str) -> None:
    coder = CODERS[name](random_model(100), 4, 6)
    grids = torch.randint(100, (7, 4, 6), generator=torch.Generator().manual_seed(0))
    records = coder.encode(grids)
    assert [coder.encode(grid[None]).to_bytes()[0] for grid in grids] == records.to_bytes()
    chosen = torch.tensor([6, 0, 2, 2])
    part = Records(records.data, records.offsets[chosen], records.lengths[chosen])
    assert torch.equal(coder.decode(part), grids[chosen].short())


@coders
def test_records_are_as_short_as_the_models_probabilities_allow(name: str) -> None:
    model = random_model(64, seed=3)
    coder = CODERS[name](model, 8, 8)
    grids = torch.randint(64, (200, 8, 8), generator=torch.Generator().manual_seed(0))
    near = neighbours_of(grids, 64).flatten(0, 2)
    assert model.compact is not None
    row = {
        "table": model.table_starts[model.table_context(near[:, 0], near[:, 1])],
        "context": model.network.starts(near),
        "compact": model.compact.network.starts(near),
    }[name]
    widths = row.diff(dim=1).gather(1, grids.flatten()[:, None]).double()
    information = (BITS - widths.log2()).view(200, 64).sum(1) / 8
    assert 0.2 < float((coder.encode(grids).lengths - information).mean()) < 0.5


@coders
def test_damaged_records_give_codes_and_no_error(name: str) -> None:
    coder = CODERS[name](random_model(100), 4, 6)
    lengths = torch.tensor([0, 3, 40])
    data = torch.randint(256, (43,), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    grids = coder.decode(Records(data, lengths.cumsum(0) - lengths, lengths))
    assert grids.shape == (3, 4, 6)
    assert 0 <= int(grids.min()) <= int(grids.max()) < 100


@coders
def test_records_written_on_another_machine_are_read_and_written_alike(name: str) -> None:
    folder = Path(__file__).parent
    model = load_entropy(folder / "golden-model.safetensors")
    golden = load_file(folder / "golden.safetensors")
    grids = golden["grids"]
    lengths = golden[f"{GOLDEN_NAMES[name]}.lengths"]
    data = golden[f"{GOLDEN_NAMES[name]}.data"]
    coder = CODERS[name](model, *grids.shape[1:])
    records = Records(data, lengths.cumsum(0) - lengths, lengths)
    assert torch.equal(coder.decode(records), grids)
    assert coder.encode(grids).to_bytes() == records.to_bytes()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@coders
def test_both_devices_write_and_read_the_same_records(name: str) -> None:
    coder = CODERS[name](random_model(1000, width=128), 8, 8)
    grids = torch.randint(1000, (50, 8, 8), generator=torch.Generator().manual_seed(0))
    on_cpu = coder.encode(grids)
    on_cuda = coder.encode(grids.cuda())
    assert on_cpu.to_bytes() == on_cuda.to_bytes()
    assert torch.equal(coder.decode(on_cuda).cpu(), grids.short())
