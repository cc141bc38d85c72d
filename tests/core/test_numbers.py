"""Numbers as people read them."""

from __future__ import annotations

import pytest

from seit_cl.core.numbers import significant


@pytest.mark.parametrize(
    ("value", "text"), [(3010.56, "3,010"), (0.0012345, "0.00123"), (20.0, "20"), (0.0, "0")]
)
def test_three_digits_are_written_without_an_exponent(value: float, text: str) -> None:
    assert significant(value, 3) == text
