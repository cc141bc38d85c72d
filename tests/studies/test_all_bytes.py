"""Memories of equal bytes in all: what a coder's model takes is missing in the memory."""

from pathlib import Path

import pytest

from seit_cl.core.errors import UserError
from studies.all_bytes import Options, cases, folder_of, model_bytes


def test_memory_and_model_add_up_to_the_total(tmp_path: Path) -> None:
    models = model_bytes()
    options = Options(data_root=tmp_path, out=tmp_path, arm=tuple(models), totals=(0.05, 0.5))
    planned = list(cases(options, models))
    for case in planned:
        total = 0.5 if "total-0.5" in case.folder else 0.05
        taken = round(1e6 * case.config.memory_mb) + models[case.config.format]
        assert taken == round(1e6 * total)
    small = {case.config.format for case in planned if "total-0.05" in case.folder}
    assert small == {"tokens", "tokens:coder=compact"}
    assert len(planned) == 5 * (2 + 4)


def test_arms_are_paired_by_seed_and_class_order(tmp_path: Path) -> None:
    options = Options(data_root=tmp_path, out=tmp_path, seed=(3,))
    orders = {case.config.class_order_seed for case in cases(options, model_bytes())}
    assert orders == {1996}


def test_a_total_without_room_for_a_memory_is_named(tmp_path: Path) -> None:
    options = Options(data_root=tmp_path, out=tmp_path, totals=(0.001,))
    with pytest.raises(UserError, match=r"--totals 0\.001: must be at least 0\.005 MB"):
        list(cases(options, model_bytes()))


def test_folders_name_format_total_and_memory() -> None:
    folder = folder_of("tokens:coder=compact", 0.05, 42_600)
    assert folder == "tokens-coder-compact/total-0.05/0.0426MB"
