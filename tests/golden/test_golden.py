"""The numbers of short runs on the CPU are those that they had when they were recorded."""

import json
from pathlib import Path

import pytest

from golden.golden_runs import (
    CHOSEN_FORMATS,
    DIGESTS,
    GROUPS,
    IMAGE_FORMATS,
    STATISTICS,
    STRATEGIES,
    TOKEN_FORMATS,
    machine,
    run_group,
    run_resumed,
)
from seit_cl.core import plugins

TABLES: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())
KNOWN = machine() in TABLES
NO_TABLE = f"no digests recorded for {machine()}"


def recorded(group: str) -> dict[str, str]:
    return {
        name: digest for name, digest in TABLES[machine()].items() if name.startswith(f"{group}/")
    }


@pytest.mark.slow
@pytest.mark.skipif(not KNOWN, reason=NO_TABLE)
@pytest.mark.parametrize("group", GROUPS)
def test_short_runs_give_the_recorded_numbers(group: str, fractals: Path, tmp_path: Path) -> None:
    assert run_group(group, fractals, tmp_path) == recorded(group)


@pytest.mark.slow
@pytest.mark.skipif(not KNOWN, reason=NO_TABLE)
def test_a_killed_and_resumed_run_gives_the_recorded_numbers(
    fractals: Path, tmp_path: Path
) -> None:
    assert run_resumed(fractals, tmp_path) == recorded("resumed")


def test_every_strategy_format_and_policy_is_recorded() -> None:
    strategies = {spec.partition(":")[0] for spec in (*STRATEGIES, *STATISTICS)}
    formats = {spec.partition(":")[0] for spec in (*TOKEN_FORMATS, *IMAGE_FORMATS, *CHOSEN_FORMATS)}
    options = " ".join(GROUPS.values())
    assert strategies == set(plugins.names("strategy"))
    assert formats | {"jpeg_original", "jxl_original", "learned"} == set(plugins.names("format"))
    for policy in set(plugins.names("policy")) - {"class_balanced"}:  # the default
        assert f"--policy {policy.replace('_', '-')}" in options
