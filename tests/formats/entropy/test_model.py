"""Probabilities of tokens: integers that sum to the coder's total on every machine."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from helpers.random_entropy import random_model
from helpers.tokenizer_samples import bundled
from seit_cl.core.errors import UserError
from seit_cl.formats.entropy.columns import NEIGHBOURS, neighbours_of
from seit_cl.formats.entropy.compact import rounded_vectors
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import load_entropy
from seit_cl.formats.entropy.network import EXACT, intervals
from seit_cl.formats.entropy.range_coder import TOTAL
from seit_cl.formats.entropy.reader import BUNDLED


@given(st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=1024), st.integers(0, 14))
@settings(max_examples=200, deadline=None)
def test_intervals_leave_no_token_out_and_fill_the_total(values: list[int], shift: int) -> None:
    scores = torch.tensor([values]).float().div(2**shift).floor()
    starts = intervals(scores)
    widths = starts.diff(dim=1)
    assert int(starts[0, 0]) == 0
    assert int(starts[0, -1]) == TOTAL
    assert int(widths.min()) >= 1
    order = scores[0, :-1].argsort()  # the last interval takes the rest
    assert bool((widths[0, :-1][order].diff() >= 0).all())


def test_a_score_of_one_more_bit_makes_an_interval_twice_as_wide() -> None:
    narrow, middle, wide = (
        intervals(torch.tensor([[0.0, 2048.0, 3 * 2048.0]])).diff(dim=1)[0].tolist()
    )
    assert (middle / narrow, wide / middle) == pytest.approx((2, 4), rel=1e-4)


def test_the_network_computes_what_whole_numbers_would() -> None:
    model = random_model(codes=50, width=32)
    near = torch.randint(51, (200, len(NEIGHBOURS)), generator=torch.Generator().manual_seed(1))

    def squash(sums: torch.Tensor) -> torch.Tensor:
        return (sums >> 6).clamp(0, 255)

    embedded = model.embedding.long()[near].flatten(1)
    hidden = squash(embedded @ model.first.long().T + model.first_bias)
    hidden = (hidden + squash(hidden @ model.second.long().T + model.second_bias)).clamp_max(255)
    scores = hidden @ model.last.long().T + model.last_bias
    assert int(scores.abs().max()) < 2**24
    assert torch.equal(model.network.starts(near), intervals(scores.float()))
    one_by_one = torch.cat([model.network.starts(row[None]) for row in near[:20]])
    assert torch.equal(one_by_one, model.network.starts(near)[:20])


def test_neighbours_are_those_around_and_before_a_token() -> None:
    tokens = torch.arange(12).view(1, 3, 4)
    near = neighbours_of(tokens, 99)
    for y in range(3):
        for x in range(4):
            expected = [
                int(tokens[0, y + v, x + u]) if y + v >= 0 and 0 <= x + u < 4 else 99
                for v, u in NEIGHBOURS
            ]
            assert near[0, y, x].tolist() == expected


def test_a_model_is_read_back_from_its_file(tmp_path: Path) -> None:
    model = random_model(codes=20)
    model.save(tmp_path / "m.safetensors")
    again = load_entropy(tmp_path / "m.safetensors")
    assert again.tokenizer == model.tokenizer
    assert again.nbytes == model.nbytes
    assert torch.equal(again.table_starts, model.table_starts)
    near = torch.zeros((1, len(NEIGHBOURS)), dtype=torch.int64)
    assert torch.equal(again.network.starts(near), model.network.starts(near))


def test_a_compact_network_comes_back_and_has_an_identity_of_its_own(tmp_path: Path) -> None:
    model = random_model(codes=20, each=3)
    model.save(tmp_path / "m.safetensors")
    again = load_entropy(tmp_path / "m.safetensors")
    for own, read in zip(model.compact_parts, again.compact_parts, strict=True):
        near = torch.zeros((1, 10 + own.network.known), dtype=torch.int64)
        assert torch.equal(read.network.starts(near), own.network.starts(near))
    coders = {name: coder(again, 4, 4) for name, coder in CODERS.items()}
    assert coders["compact"].identity == CODERS["compact"](model, 4, 4).identity
    assert coders["compact"].identity != coders["context"].identity
    without = replace(model, compact=None)
    assert coders["context"].identity == without.identity
    assert without.compact_parts == []


def test_a_compact_network_without_all_of_its_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    random_model(20).save(path)
    tensors = load_file(path)
    del tensors["compact.out_bias"]
    save_file(tensors, path, metadata={"tokenizer": "random"})
    with pytest.raises(UserError, match="no entropy model"):
        load_entropy(path)


def test_the_compact_network_computes_what_whole_numbers_would() -> None:
    compact = random_model(codes=50).compact
    assert compact is not None
    near = torch.randint(51, (200, len(NEIGHBOURS)), generator=torch.Generator().manual_seed(1))
    vectors = torch.cat([compact.vectors, compact.border[None]]).long()
    hidden = vectors[near].flatten(1) @ compact.first.long().T + compact.first_bias
    hidden = (hidden >> 6).clamp(0, 255)
    residual = hidden @ compact.second.long().T + compact.second_bias
    hidden = (hidden + (residual >> 6).clamp(0, 255)).clamp_max(255)
    wanted = ((hidden @ compact.out.long().T + compact.out_bias) >> 6).clamp(-255, 255)
    scores = wanted @ compact.vectors.long().T + (compact.frequencies.long() << 7)
    assert torch.equal(compact.network.starts(near), intervals(scores.float()))


def test_the_bundled_compact_network_has_the_bundled_tokenizers_vectors() -> None:
    compact = load_entropy(BUNDLED).compact
    assert compact is not None
    assert torch.equal(compact.vectors, rounded_vectors(bundled().codebook[0]))


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_another_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"m\.safetensors: no entropy model"):
        load_entropy(path)


def test_the_bundled_models_sums_are_exact_on_every_machine() -> None:
    model = load_entropy(BUNDLED)
    assert model.largest_sum < EXACT
    for name in ("left", "upper", "embedding", "first", "second", "last"):
        assert getattr(model, name).dtype == torch.int8


def test_a_models_largest_sum_is_reached_and_never_passed() -> None:
    model = random_model(30)
    worst = replace(
        model,
        last=torch.full_like(model.last, 127),
        last_bias=torch.full_like(model.last_bias, 5000),
    )
    assert worst.largest_sum == 255 * 127 * model.last.shape[1] + 5000


def test_weights_too_large_to_be_exact_are_refused(tmp_path: Path) -> None:
    model = random_model(30)
    replace(model, last_bias=model.last_bias + EXACT).save(tmp_path / "m.safetensors")
    with pytest.raises(UserError, match=r"m\.safetensors: its weights are too large"):
        load_entropy(tmp_path / "m.safetensors")


@pytest.mark.parametrize("length", [0, 9])
def test_models_of_several_codes_come_back_from_their_file(length: int, tmp_path: Path) -> None:
    model = random_model(20, each=3, length=length)
    model.save(tmp_path / "m.safetensors")
    again = load_entropy(tmp_path / "m.safetensors")
    assert again.identity == model.identity
    assert [part.table_columns for part in again.parts] == [
        part.table_columns for part in model.parts
    ]
    assert (len(again.parts), again.length, again.nbytes) == (3, length, model.nbytes)
    assert model.first_codes(2).identity != model.identity
    assert again.largest_sum >= again.further[1].largest_sum


@pytest.mark.parametrize(
    "change",
    [
        {"2.last": None},
        {"2.earlier": None},
        {"1.table_pair": torch.tensor([0, 11])},
        {"1.last": torch.zeros(21, 16, dtype=torch.int8)},
    ],
)
def test_models_of_several_codes_that_do_not_fit_are_refused(
    change: dict[str, torch.Tensor | None], tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    random_model(20, each=3).save(path)
    tensors = {**load_file(path), **change}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, path, metadata={"tokenizer": "random"})
    with pytest.raises(UserError, match="no entropy model"):
        load_entropy(path)


@pytest.mark.parametrize("each", [1, 3])
def test_a_coder_counts_the_part_of_the_model_that_it_needs(each: int) -> None:
    model = random_model(20, each=each)
    tables = CODERS["table"](model, 4, 4).codec_bytes
    network = CODERS["context"](model, 4, 4).codec_bytes
    assert tables + network == model.nbytes
    compact = CODERS["compact"](model, 4, 4).codec_bytes
    expected = 0
    for part in model.compact_parts:
        expected += sum(tensor.nbytes for tensor in part.tensors.values()) - part.vectors.nbytes
    assert compact == expected
    for part, factor in ((model.left, 2), (model.left_groups, 2)):
        assert tables >= each * factor * part.nbytes
