"""The device of a run, its precision and threads, and the data that stay in its memory."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.blocks import slices
from seit_cl.core.errors import UserError

MOST_MAIN_MEMORY = 4_000_000_000  # bytes
MAIN_SHARE = 4  # parts of the machine's memory, of which one kind of decoded data may take one
FREE_SHARE = 0.25  # share of a GPU's free memory that one kind of decoded data may take
CHUNK = 4096  # samples fetched at a time at most
CHUNK_BYTES = 1 << 27  # of them
# "microseconds of CPU time per period" or "max"; Linux, cgroup v2
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes, or "max"
_processes = 1  # that share the machine, see `share_machine`
_gpu_processes = 1  # that share this process's GPU


def machine_memory() -> int:
    """Bytes of the machine's main memory, or a container's lower limit."""
    most = 1 << 62
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not on Windows
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        most = min(most, int(MEMORY_LIMIT.read_text()))
    return most


# Bytes of main memory that one kind of decoded data may take.
MAIN_MEMORY = min(MOST_MAIN_MEMORY, machine_memory() // MAIN_SHARE)


def choose_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda".

    Raises:
        UserError: "cuda" on a machine without a CUDA device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this machine has no CUDA device that torch can use; use --device cpu"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Return True if the device multiplies bf16 in hardware; assumed of every CUDA device."""
    return (
        device.type == "cuda"
        or torch.cpu._is_avx512_bf16_supported()
        or torch.cpu._is_amx_tile_supported()
    )


def bf16_warning(device: torch.device, precision: str) -> str:
    """A line for those who ask for bf16 where it is emulated, many times as slow; "" elsewhere.

    Args:
        device: of the training.
        precision: as in --precision.
    """
    if precision != "bf16" or has_bf16(device):
        return ""
    return (
        "warning: --precision bf16: this processor has no bf16 products, which makes a step many "
        "times as slow as in fp32"
    )


def allowed_cores() -> int:
    """Count the CPU cores of this process: its CPU affinity, or a container's lower quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


def limit_threads() -> None:
    """Lower torch's CPU threads to the cores of this process: more threads slow every operation."""
    cores = max(1, allowed_cores() // _processes)
    torch.set_num_threads(min(torch.get_num_threads(), cores))


def share_machine(processes: int, own_gpu: bool = False, cores: int = 0) -> None:
    """Leave their part of the cores and of `device_budget` to other processes like this one.

    Args:
        processes: their number, this one included.
        own_gpu: True if each of them has a GPU of its own.
        cores: of this process; 0: an equal part of all.
    """
    global _processes, _gpu_processes
    _processes = processes
    _gpu_processes = 1 if own_gpu else processes
    limit_threads()
    if cores:
        torch.set_num_threads(cores)


def device_budget(device: torch.device) -> int:
    """Return the bytes that one kind of data (fresh samples, exemplars) may occupy on a device.

    Processes that share the machine have equal parts, so that they fit together even if they all
    look at the free memory before one of them takes some.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * FREE_SHARE / _gpu_processes)
    return MAIN_MEMORY // _processes


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without blocking; work queued on the device waits for the copy."""
    return tensor.to(device, non_blocking=True)


def preload(fetch: Callable[[Tensor], Tensor], ids: Tensor, device: torch.device) -> Tensor | None:
    """Fetch all samples of `ids` into one tensor (n, ...) on a device.

    Args:
        fetch: returns the samples (b, ...) of ids (b,) on the CPU.
        ids: (n,), at least one.
        device: where the tensor is allocated.

    Returns:
        The samples, or None if they take more than `device_budget`.
    """
    first = fetch(ids[:1])
    if first.nbytes * len(ids) > device_budget(device):
        return None
    samples = torch.empty((len(ids), *first.shape[1:]), dtype=first.dtype, device=device)
    together = max(1, min(CHUNK, CHUNK_BYTES // max(1, first.nbytes)))
    for part in slices(len(ids), together):
        samples[part].copy_(fetch(ids[part]), non_blocking=True)
    return samples
