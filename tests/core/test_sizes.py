"""Sizes as people write them, on the command lines that take a budget."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seit_cl.command_line import parse
from seit_cl.core.errors import UserError
from seit_cl.core.sizes import megabytes, operations
from seit_cl.grid import expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.02", 0.02),
        ("20kB", 0.02),
        ("20KB", 0.02),
        ("20000B", 0.02),
        ("100MB", 100.0),
        ("100 mb", 100.0),
        ("1.5GB", 1500.0),
        ("2e3kB", 2.0),
        ("1TB", 1e6),
        ("0", 0.0),
    ],
)
def test_a_number_is_in_mb_and_a_unit_is_decimal(text: str, expected: float) -> None:
    assert megabytes(text, "--memory-mb") == expected


@given(st.integers(0, 10**12))
def test_every_number_of_bytes_is_the_same_size_in_each_unit(size: int) -> None:
    exact = f"{size // 1000}.{size % 1000:03d}kB"
    assert megabytes(f"{size}B", "--memory-mb") == megabytes(exact, "--memory-mb")
    assert round(megabytes(exact, "--memory-mb") * 1e6) == size


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("100MiB", "write 104.8576MB"),
        ("1Gi", "write 1073.741824MB"),
        ("64kib", "write 0.065536MB"),
        ("100M", "write 100MB"),
        ("20k", "write 20kB"),
        ("MB", "a unit without its number"),
        ("100 parsecs", "unknown unit"),
        ("much", "not a size"),
        ("1,5GB", "not a size"),
        ("1.2.3MB", "not a size"),
        (".MB", "not a size"),
        ("", "not a size"),
    ],
)
def test_another_spelling_is_answered_with_the_right_one(text: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice) as caught:
        megabytes(text, "--memory-mb")
    assert str(caught.value).startswith(f"--memory-mb {text}: ")
    assert "\n" not in str(caught.value)


def test_a_grid_takes_sizes_with_units_from_the_command_line_and_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("memory_mb: [20kB, 0.5, 1 MB]\n")
    assert [run.memory_mb for run in expand(parse(["--config", str(path)]))] == [0.02, 0.5, 1.0]
    words = ["--memory-mb", "100MB", "1.5GB"]
    assert [run.memory_mb for run in expand(parse(words))] == [100.0, 1500.0]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["100", "MB"], "--memory-mb MB: a unit without its number"),
        (["100MiB"], "write 104.8576MB"),
        (["-1MB"], "--memory-mb"),
        (["nan"], "--memory-mb nan: must be 0"),
    ],
)
def test_a_grid_answers_other_spellings_in_one_line(words: list[str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        expand(parse(["--memory-mb", *words]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2e13", 2e13), ("20T", 2e13), ("20 tflop", 2e13), ("0.02PFLOPs", 2e13), ("500G", 5e11)],
)
def test_operations_are_a_number_or_have_a_decimal_prefix(text: str, expected: float) -> None:
    assert operations(text, "--flops-budget") == expected
    assert parse(["--flops-budget", text]).flops_budget == expected


@pytest.mark.parametrize("text", ["20MB", "much", "T", "1.2.3T", ""])
def test_other_operations_are_answered_with_examples(text: str) -> None:
    with pytest.raises(UserError, match="write it as 2e13") as caught:
        operations(text, "--flops-budget")
    assert str(caught.value).startswith(f"--flops-budget {text}: ")
