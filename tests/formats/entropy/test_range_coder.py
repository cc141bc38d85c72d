"""Range coder: messages are decoded as they were encoded, at the cost of their information."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.formats._records import Records
from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.range_coder import BITS, TOTAL


def model(symbols: int, generator: torch.Generator, spread: float) -> torch.Tensor:
    """Starts (symbols + 1,) of intervals of random widths, the narrowest 1."""
    shares = (spread * torch.randn(symbols, generator=generator)).softmax(0)
    widths = 1 + ((TOTAL - symbols) * shares).long()
    widths[0] += TOTAL - widths.sum()
    return torch.cat([torch.zeros(1, dtype=torch.int64), widths.cumsum(0)])


def decode(records: Records, starts: torch.Tensor, positions: int) -> torch.Tensor:
    decoder = range_coder.Decoder(records)
    symbols = []
    for _ in range(positions):
        symbol = torch.searchsorted(starts, decoder.peek(), right=True) - 1
        decoder.take(starts[symbol], starts[symbol + 1] - starts[symbol])
        symbols.append(symbol)
    return torch.stack(symbols, 1)


@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(1, 40), st.floats(0, 9))
@settings(max_examples=60, deadline=None)
def test_messages_are_decoded_for_any_probabilities(
    seed: int, symbols: int, positions: int, spread: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    starts = model(symbols, generator, spread)
    sent = torch.randint(symbols, (5, positions), generator=generator)
    records = range_coder.encode(starts[sent], starts[sent + 1] - starts[sent])
    assert torch.equal(decode(records, starts, positions), sent)


def test_a_message_costs_its_information_and_less_than_a_byte() -> None:
    generator = torch.Generator().manual_seed(0)
    starts = model(1000, generator, 2.0)
    widths = starts.diff()
    sent = torch.multinomial(widths.float(), 400 * 64, replacement=True, generator=generator).view(
        400, 64
    )
    records = range_coder.encode(starts[sent], widths[sent])
    information = (BITS - widths[sent].double().log2()).sum(1) / 8
    excess = records.lengths - information
    assert float(excess.mean()) < 0.5  # some messages save zero bytes at their end
    assert float(excess.max()) < 1.1


def test_a_selection_of_records_decodes_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    starts = model(20, generator, 1.0)
    sent = torch.randint(20, (6, 9), generator=generator)
    records = range_coder.encode(starts[sent], starts[sent + 1] - starts[sent])
    chosen = torch.tensor([5, 0, 3])
    part = Records(records.data, records.offsets[chosen], records.lengths[chosen])
    assert torch.equal(decode(part, starts, 9), sent[chosen])
    alone = [
        range_coder.encode(starts[row][None], (starts[row + 1] - starts[row])[None]).to_bytes()[0]
        for row in sent
    ]
    assert alone == records.to_bytes()
