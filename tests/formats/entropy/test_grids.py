"""Entropy-coded grids: decoded exactly, alone or in a batch, at the size of their information."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from helpers.random_entropy import random_model
from seit_cl.formats._records import Records
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import load_entropy, neighbours_of
from seit_cl.formats.entropy.range_coder import BITS

GOLDEN_NAMES = {"table": "ans", "context": "context"}  # of tensors; "table" was "ans" at first
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
    row = (
        model.table_starts[model.table_context(near[:, 0], near[:, 1])]
        if name == "table"
        else model.network_starts(near)
    )
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
