"""Where a run computes, in which precision, and which data may stay there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError

MAIN_MEMORY = 4_000_000_000  # bytes of main memory that one kind of data may take to stay decoded
FREE_SHARE = 0.25  # of a GPU's free memory, likewise
CHUNK = 4096  # samples fetched at a time
QUOTA = Path(
    "/sys/fs/cgroup/cpu.max"
)  # "microseconds of CPU time per period" or "max": Linux, cgroup v2


def choose_device(name: str) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means.

    Raises:
        UserError: CUDA asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this machine has no CUDA device that torch can use; use --device cpu"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware; every CUDA device is taken to."""
    return (
        device.type == "cuda"
        or torch.cpu._is_avx512_bf16_supported()
        or torch.cpu._is_amx_tile_supported()
    )


def allowed_cores() -> int:
    """CPU cores that this process may use: those that it is bound to, or fewer where a container has a quota of them."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = QUOTA.read_text().split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


def fit_threads() -> None:
    """Let torch use no more CPU threads than there are cores for them: more wait for one another in every operation."""
    torch.set_num_threads(min(torch.get_num_threads(), allowed_cores()))


def device_budget(device: torch.device) -> int:
    """Bytes that one kind of data (fresh samples, exemplars) may take on a device in order to stay there."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * FREE_SHARE)
    return MAIN_MEMORY


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; the caller does not wait for the copy, work queued there later does."""
    return tensor.to(device, non_blocking=True)


def preload(fetch: Callable[[Tensor], Tensor], ids: Tensor, device: torch.device) -> Tensor | None:
    """All samples of `ids` (n,) in one tensor (n, ...) on a device; None where they need more than `room` there.

    Args:
        fetch: gives the samples of some ids (b,) on the CPU, (b, ...).
        ids: (n,), at least one.
        device: where they are to stay.
    """
    first = fetch(ids[:1])
    if first.nbytes * len(ids) > device_budget(device):
        return None
    whole = torch.empty((len(ids), *first.shape[1:]), dtype=first.dtype, device=device)
    for start in range(0, len(ids), CHUNK):
        whole[start : start + CHUNK].copy_(fetch(ids[start : start + CHUNK]), non_blocking=True)
    return whole
