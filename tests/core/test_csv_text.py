"""CSV files: a name is one cell whatever letters it has, and no formula of a spreadsheet."""

import csv
import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seit_cl.core.csv_text import csv_text, protected, unprotected

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HOSTILE = ["\r", "a\rb", "a\r\nb", "=1+2", "+x", "-x", "@x", "\tx", "'=x", "''@", "nan", '"', "-5"]


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_names_come_back_as_they_were_written(names: list[str]) -> None:
    _comes_back(names)


def test_names_that_parsers_and_spreadsheets_take_for_something_else_come_back() -> None:
    _comes_back(HOSTILE)


def _comes_back(names: list[str]) -> None:
    text = csv_text(pd.DataFrame({"class": names, "n": range(len(names))}))
    read = pd.read_csv(io.BytesIO(text.encode()), dtype=str, keep_default_na=False)
    assert [unprotected(cell) for cell in read["class"]] == names


@given(NAMES)
def test_no_text_begins_like_a_formula(name: str) -> None:
    cell = protected(name)
    assert cell[:1] not in ("=", "@", "\t", "\r")
    if cell[:1] in ("+", "-"):
        float(cell)


def test_numbers_stay_as_they_are_and_rows_end_with_a_line_feed() -> None:
    table = pd.DataFrame({"a": [-1.5, math.nan], "b": ["-2e3", "=2"], "c": np.array([-1, 2])})
    assert csv_text(table) == "a,b,c\n-1.5,-2e3,-1\n,'=2,2\n"
    mixed = pd.DataFrame({"a": [-1, "x\ry", None]})
    assert list(csv.reader(io.StringIO(csv_text(mixed), newline=""))) == [
        ["a"],
        ["-1"],
        ["x\ry"],
        [""],
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_only_our_own_apostrophe_is_removed(name: str) -> None:
    assert unprotected(protected(name)) == name
