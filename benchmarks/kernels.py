"""Time of a call's kernels by kind, from torch's profiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import finish

OTHER = "other"
MATMUL = "matmul, convolution"
NORM = "norm"
ELEMENTWISE = "elementwise, casts"
# The kind of the first pattern in a kernel's name. Inductor names a kernel after all operations in
# it, those of a matrix product that came before included; its products are called triton_tem.
PATTERNS = (
    (r"^triton_(?!tem).*norm", NORM),
    (r"^triton_(?!tem)|cpp_fused", ELEMENTWISE),
    (r"flash|fmha|attention|sdpa", "attention"),
    (r"adam|multi_tensor|foreach", "optimiser"),
    (r"gemm|nvjet|cutlass|xmma|triton_tem|mkl|conv|addmm|bmm|::mm|linear", MATMUL),
    (r"norm", NORM),
    (r"elementwise|copy|cast|memcpy|memset|fill|gelu|add|mul|softmax|reduce", ELEMENTWISE),
)


def kind_of(kernel: str) -> str:
    """Return the kind of a kernel, by its name."""
    for pattern, kind in PATTERNS:
        if re.search(pattern, kernel, re.IGNORECASE):
            return kind
    return OTHER


def kernel_times(call: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Measure the seconds of the kernels of one call by kind, largest first.

    On a CPU these are the times of torch's operations without those that they call, and all code
    that inductor compiled counts as "other".

    Args:
        call: is compiled and warm.
        device: where its kernels run.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        call()
        finish(device)
    seconds: dict[str, float] = {}
    for event in profiler.key_averages():
        taken = _microseconds(event, device) / 1e6
        if taken > 0:
            kind = kind_of(event.key)
            seconds[kind] = seconds.get(kind, 0.0) + taken
    return dict(sorted(seconds.items(), key=lambda item: item[1], reverse=True))


def _microseconds(event: Any, device: torch.device) -> float:
    """Return an event's own time on the device; 0 for an event of another device."""
    if event.is_user_annotation:  # a span around kernels, e.g. an optimiser's step
        return 0.0
    if device.type == "cpu":
        return float(event.self_cpu_time_total)
    if event.device_type != DeviceType.CUDA:
        return 0.0
    return float(event.self_device_time_total)
