"""Metadata of a run: its row of summary.csv other than accuracies, and environment.json."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import avalanche
import timm
import torch
from torch import nn

from seit_cl import __version__
from seit_cl.config import RunConfig
from seit_cl.core.digests import file_digest
from seit_cl.core.machine import commit_of_checkout, processor_name
from seit_cl.experiment.build import canonical_strategy, choose_precision
from seit_cl.experiment.modality import MODALITIES
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FittedFormat
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.models import canonical_model
from seit_cl.models._weights import read_weights, weights_digest

CONTENTS = "images_digest"  # entry of environment.json
ADAPT_DIGEST = "token_adapt_digest"  # entry of environment.json: XXH3 of the file
INIT_DIGEST = "init_digest"  # entry of environment.json: XXH3 of the file of --init


@dataclass
class Phase:
    """Time spent in one phase of a run.

    Args:
        seconds: wall-clock time.
        images: images processed.
        cpu_seconds: processor time of all threads of this process; nan where a part of the phase
            was made by a version that did not record it.
    """

    seconds: float = 0.0
    images: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Training:
    """Measures of a run's training.

    Args:
        model: the learner's network.
        steps: optimiser steps taken.
        seconds: training time, memory updates included.
        strategy_bytes: bytes of the strategy's state other than exemplars.
        flops: the columns of summary.csv about FLOPs; empty where they were not counted.
    """

    model: nn.Module
    steps: int
    seconds: float
    strategy_bytes: int
    flops: Mapping[str, int] = field(default_factory=dict)


def run_metadata(
    config: RunConfig,
    data: RunData,
    scenario: str,
    memory: ByteBudgetBuffer | None,
    training: Training,
    phases: Mapping[str, Phase],
    device: torch.device,
) -> dict[str, Any]:
    """The row of summary.csv of a finished run, without the metrics computed from accuracy.csv.

    Args:
        config: the run's options.
        data: its dataset and tokenizer.
        scenario: name of its scenario, with its options.
        memory: its replay memory, or None.
        training: measures of its training.
        phases: time by phase.
        device: of the learner.
    """
    return memory_metadata(memory) | {
        "scenario": scenario,
        "dataset": dataset_name(config, data),
        "test_on": config.test_on,
        "strategy": config.strategy,
        "fill": config.fill,
        "learner": config.learner,
        "model": canonical_model(config.model),
        "tokenizer": data.tokenizer.identity if uses_tokenizer(config) else "",
        "seed": config.seed,
        "class_order_seed": config.class_order_seed,
        "codec_bytes": codec_bytes(config, data, memory),
        "model_bytes": model_bytes(training.model),
        "strategy_bytes": training.strategy_bytes,
        "steps": training.steps,
        **training.flops,
        "train_seconds": round(training.seconds, 1),
        "device": str(device),
        "status": "finished",
        "skipped_images": len(data.dataset.skipped),
        "phases": phase_metadata(config, data, phases, device),
    }


def dataset_name(config: RunConfig, data: RunData) -> str:
    """Name of the data in results, which keeps runs tested on a validation part apart."""
    name = data.dataset.name
    return f"{name} (validation)" if config.test_on == "validation" else name


def model_bytes(network: nn.Module) -> int:
    """Bytes of a network's state: weights, and buffers such as running statistics.

    What cannot be rebuilt counts; a tensor that has two names counts once.
    """
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in network.state_dict().values()}
    return sum(tensors.values())


def memory_metadata(memory: ByteBudgetBuffer | None) -> dict[str, Any]:
    """The columns of summary.csv about the memory; zeros and empty texts without one."""
    if memory is None:
        return {
            "format": "",
            "format_chose": "",
            "policy": "",
            "memory_bytes": 0,
            "memory_full": False,
            "exemplars": 0,
            "used_bytes": 0,
            "payload_bytes": 0,
            "bytes_per_exemplar": 0,
            "classes_covered": 0,
        }
    return {
        "format": memory.fmt.spec,
        "format_chose": memory.fmt.chosen if isinstance(memory.fmt, FittedFormat) else "",
        "policy": memory.policy,
        "memory_bytes": memory.budget_bytes,
        "memory_full": bool(memory.full or memory.skipped),
        "exemplars": len(memory),
        "used_bytes": memory.used_bytes,
        "payload_bytes": memory.payload_bytes,
        "bytes_per_exemplar": memory.bytes_per_exemplar,
        "classes_covered": memory.classes_covered,
    }


def phase_metadata(
    config: RunConfig, data: RunData, phases: Mapping[str, Phase], device: torch.device
) -> dict[str, dict[str, float]]:
    """Seconds, images, processor threads (1 on a GPU) and processor time by phase.

    The first phase is the tokenizing of the dataset, done once for all runs of a grid; phases
    without images are left out.
    """
    on_cpu = device.type == "cpu"
    values = {}
    tokenizing = data.tokenizing() if uses_tokenizer(config) else None
    if tokenizing is not None:
        seconds, threads = tokenizing
        images = len(data.dataset.train) + len(data.dataset.val)
        values["tokenize"] = _phase(seconds, images, threads if on_cpu else 1)
    for name, phase in phases.items():
        values[name] = _phase(phase.seconds, phase.images, torch.get_num_threads() if on_cpu else 1)
        if not math.isnan(phase.cpu_seconds):
            values[name]["cpu_seconds"] = round(phase.cpu_seconds, 3)
    return {name: value for name, value in values.items() if value["images"]}


def _phase(seconds: float, images: int, cores: int) -> dict[str, float]:
    return {"seconds": round(seconds, 3), "images": images, "cores": cores}


def codec_bytes(config: RunConfig, data: RunData, memory: ByteBudgetBuffer | None) -> int:
    """Bytes needed between records and learner: the tokenizer, and the format's code tables."""
    tokenizer = data.tokenizer.codec_bytes if uses_tokenizer(config) else 0
    return tokenizer + (0 if memory is None else memory.fmt.codec_bytes)


def uses_tokenizer(config: RunConfig) -> bool:
    """True unless the learner is a pixel learner, which takes no exemplars of tokens either."""
    return MODALITIES[config.learner].uses_tokenizer


def environment(
    config: RunConfig, data: RunData, device: torch.device, command: str, classes: list[str]
) -> dict[str, Any]:
    """Contents of environment.json: command, versions, machine, identity of images and tokenizer.

    Args:
        config: the run's options.
        data: its dataset and tokenizer.
        device: of the learner.
        command: as typed by the user.
        classes: names of the classes in the stream's order.
    """
    hardware = f"{torch.get_num_threads()} threads"
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name()
    values = {
        "command": command,
        "seit_cl": __version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "avalanche": avalanche.__version__,
        "machine": platform.machine(),
        "processor": processor_name(),
        "python": platform.python_version(),
        "system": platform.system(),
        "device": f"{device} ({hardware})",
        "precision": choose_precision(config),
        "strategy": canonical_strategy(config),
    }
    commit = commit_of_checkout()
    if commit:
        values["commit"] = commit
    for name, value in data.identity.items():
        if uses_tokenizer(config) or "tokenizer" not in name:
            values[name] = value
    contents = data.contents(uses_tokenizer(config))
    if contents:
        values[CONTENTS] = contents
    if data.dataset.held_out:
        values["held_out"] = data.dataset.held_out
    if config.init is not None:
        values[INIT_DIGEST] = weights_digest(config.init)
        origin = read_weights(config.init).origin
        if origin:
            values["init"] = dict(origin)
    if config.token_adapt is not None:
        values[ADAPT_DIGEST] = file_digest(config.token_adapt)
    return values | {"classes": classes}
