"""Bytes of the SeiT release are decoded to the codes written, wherever they are cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.release_files import spell
from seit_cl.data.seit.codes import LARGEST, TwoEscapes, decode, to_bytes

CODES = st.lists(st.integers(0, LARGEST), min_size=0, max_size=60)
SIX = st.lists(st.integers(0, LARGEST), min_size=6, max_size=6)


@given(codes=SIX, images=st.integers(1, 5), height=st.sampled_from([1, 2, 3, 6]))
def test_grids_are_written_in_the_bytes_of_the_format(
    codes: list[int], images: int, height: int
) -> None:
    tokens = (
        torch.tensor(codes, dtype=torch.int16).reshape(1, 1, height, -1).repeat(images, 1, 1, 1)
    )
    data, offsets = to_bytes(tokens)
    one = b"".join(map(spell, codes))
    assert data.tobytes() == one * images
    assert offsets.tolist() == [i * len(one) for i in range(images + 1)]


@given(codes=CODES)
def test_codes_are_read_as_they_were_written(codes: list[int]) -> None:
    data = np.frombuffer(b"".join(map(spell, codes)), np.uint8)
    decoded = decode(data)
    assert decoded.codes.tolist() == codes
    assert decoded.codes.dtype == np.int16
    assert not decoded.escaped
    ends = np.cumsum([len(spell(code)) for code in codes]).astype(int)
    assert (decoded.last + 1).tolist() == ends.tolist()


@settings(max_examples=50)
@given(codes=CODES, cut=st.integers(0, 130))
def test_bytes_may_be_cut_anywhere_even_after_an_escape(codes: list[int], cut: int) -> None:
    data = np.frombuffer(b"".join(map(spell, codes)), np.uint8)
    first = decode(data[:cut])
    second = decode(data[cut:], first.escaped)
    assert [*first.codes.tolist(), *second.codes.tolist()] == codes


@pytest.mark.parametrize(
    ("data", "escaped", "at"), [(b"\x01\xff\xff\x00", False, 2), (b"\xff\x00", True, 0)]
)
def test_an_escape_after_an_escape_is_reported_with_its_position(
    data: bytes, escaped: bool, at: int
) -> None:
    with pytest.raises(TwoEscapes) as refused:
        decode(np.frombuffer(data, np.uint8), escaped)
    assert refused.value.position == at


def test_larger_codes_have_several_escapes_for_the_comparison_of_sizes() -> None:
    data, offsets = to_bytes(torch.tensor([[[[0, 254, 255, 391, 1023]]]]))
    assert data.tobytes().hex(" ") == "00 fe ff 00 ff 88 ff ff ff ff 03"
    assert offsets.tolist() == [0, 11]


def test_no_images_give_no_bytes() -> None:
    data, offsets = to_bytes(torch.zeros(0, 1, 2, 2, dtype=torch.int16))
    assert len(data) == 0
    assert offsets.tolist() == [0]
