"""Where a run computes, and what stays there."""

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
    monkeypatch.setattr(devices, "QUOTA", tmp_path / "cpu.max")
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
            devices.fit_threads()
            assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_samples_settle_in_the_order_of_their_ids_in_several_chunks() -> None:
    ids = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    settled = devices.preload(SAMPLES.__getitem__, ids, CPU)
    assert settled is not None and torch.equal(settled, SAMPLES[ids])


def test_samples_that_need_more_than_the_room_do_not_settle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[int] = []

    def fetch(ids: torch.Tensor) -> torch.Tensor:
        fetched.append(len(ids))
        return SAMPLES[ids]

    monkeypatch.setattr(devices, "MAIN_MEMORY", 12 * 100)
    assert devices.preload(fetch, torch.arange(101), CPU) is None and fetched == [1]
    assert devices.preload(fetch, torch.arange(100), CPU) is not None
