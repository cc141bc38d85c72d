"""The machine's description, and the number of CPU threads of a block."""

import re

import pytest
import torch

from seit_cl.core.machine import commit_of_checkout, machine_line, processor_name, torch_threads


def test_the_machine_line_names_processor_and_version() -> None:
    line = machine_line(torch.device("cpu"))
    assert processor_name() in line
    assert f"torch {torch.__version__}" in line
    assert "\n" not in line


@pytest.mark.parametrize(("count", "inside"), [(1, 1), (3, 3), (0, 2)])
def test_the_number_of_threads_is_restored_after_the_block(count: int, inside: int) -> None:
    before = torch.get_num_threads()
    with torch_threads(2):
        with torch_threads(count):
            assert torch.get_num_threads() == inside
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_the_commit_of_a_checkout_is_known() -> None:
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", commit_of_checkout())
