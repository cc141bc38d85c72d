"""Devices: CPU cores and threads, and data preloaded within the device budget."""

from pathlib import Path

import pytest
import torch

from seit_cl.core import devices

CPU = torch.device("cpu")
SAMPLES = torch.arange(10_000 * 6, dtype=torch.int16).view(10_000, 2, 3)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8), ("", 8)],
)
def test_a_containers_quota_limits_the_cores(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    assert devices.allowed_cores() == expected


def test_threads_are_lowered_to_the_cores_and_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for threads, cores, expected in [(4, 2, 2), (1, 8, 1)]:
            torch.set_num_threads(threads)
            monkeypatch.setattr(devices, "allowed_cores", lambda cores=cores: cores)
            devices.limit_threads()
            assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_processes_that_share_the_machine_divide_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    alone = devices.device_budget(CPU)
    monkeypatch.setattr(devices, "allowed_cores", lambda: 8)
    try:
        torch.set_num_threads(8)
        devices.share_machine(3)
        assert torch.get_num_threads() == 2
        assert devices.device_budget(CPU) == alone // 3
        devices.share_machine(15)
        assert torch.get_num_threads() == 1
    finally:
        devices.share_machine(1)
        torch.set_num_threads(before)


def test_preloaded_samples_are_in_the_order_of_their_ids_across_chunks() -> None:
    ids = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    preloaded = devices.preload(SAMPLES.__getitem__, ids, CPU)
    assert preloaded is not None
    assert torch.equal(preloaded, SAMPLES[ids])


def test_samples_beyond_the_device_budget_are_not_preloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[int] = []

    def fetch(ids: torch.Tensor) -> torch.Tensor:
        fetched.append(len(ids))
        return SAMPLES[ids]

    monkeypatch.setattr(devices, "MAIN_MEMORY", 12 * 100)
    assert devices.preload(fetch, torch.arange(101), CPU) is None
    assert fetched == [1]
    assert devices.preload(fetch, torch.arange(100), CPU) is not None


@pytest.mark.parametrize("in_hardware", [True, False])
def test_bf16_that_was_asked_for_is_warned_about_where_it_is_emulated(
    in_hardware: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_bf16", lambda device: in_hardware)
    assert devices.bf16_warning(CPU, "auto") == devices.bf16_warning(CPU, "fp32") == ""
    assert ("many times as slow" in devices.bf16_warning(CPU, "bf16")) is not in_hardware
