"""What is known of a run beside its accuracies: its row of summary.csv, and environment.json."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import avalanche
import timm
import torch

from seit_cl import __version__
from seit_cl.experiment.build import choose_precision
from seit_cl.formats.base import FittedFormat

if TYPE_CHECKING:
    from seit_cl.experiment.experiment import Experiment


def facts(run: Experiment) -> dict[str, Any]:
    """The row of summary.csv of a run that has ended, but for what is computed from accuracy.csv."""
    memory, config, data = run.memory, run.config, run.data
    names = ("used_bytes", "payload_bytes", "bytes_per_exemplar", "classes_covered")
    stored = {name: 0 if memory is None else getattr(memory, name) for name in names}
    model_bytes = sum(p.numel() * p.element_size() for p in run.learner.model.parameters())
    return stored | {
        "scenario": run.scenario.name,
        "dataset": data.dataset.name,
        "strategy": config.strategy,
        "format": "" if memory is None else memory.fmt.spec,
        "format_chose": memory.fmt.chosen
        if memory is not None and isinstance(memory.fmt, FittedFormat)
        else "",
        "learner": config.learner,
        "model": config.model,
        "tokenizer": data.tokenizer.identity if uses_tokenizer(run) else "",
        "memory_bytes": 0 if memory is None else memory.budget_bytes,
        "policy": "" if memory is None else memory.policy,
        "memory_full": memory is not None and bool(memory.full or memory.skipped),
        "seed": config.seed,
        "exemplars": 0 if memory is None else len(memory),
        "codec_bytes": codec_bytes(run),
        "model_bytes": model_bytes,
        "strategy_bytes": run.strategy.strategy_bytes,
        "steps": run.learner.steps_done,
        "train_seconds": round(run.train_seconds, 1),
        "device": str(run.device),
        "status": "finished",
        "skipped_images": len(data.dataset.skipped),
        "phases": phases(run),
    }


def phases(run: Experiment) -> dict[str, dict[str, float]]:
    """Seconds, images and processor threads (1 on a GPU) of each phase of a run: the tokenizing of its dataset, once for all
    runs, training, what came into the memory, testing."""
    cores = torch.get_num_threads() if run.device.type == "cpu" else 1
    noted = {name: (seconds, int(images), cores) for name, (seconds, images) in run.phases.items()}
    tokenizing = run.data.tokenizing() if uses_tokenizer(run) else None
    if tokenizing is not None:
        images = len(run.data.dataset.train) + len(run.data.dataset.val)
        noted = {
            "tokenize": (tokenizing[0], images, tokenizing[1] if run.device.type == "cpu" else 1),
            **noted,
        }
    return {
        name: {"seconds": round(seconds, 3), "images": images, "cores": cores}
        for name, (seconds, images, cores) in noted.items()
        if images
    }


def codec_bytes(run: Experiment) -> int:
    """Bytes of what a run needs between records and learner: the tokenizer, and probabilities of its codes."""
    tokenizer = run.data.tokenizer.codec_bytes if uses_tokenizer(run) else 0
    return tokenizer + (0 if run.memory is None else run.memory.fmt.codec_bytes)


def uses_tokenizer(run: Experiment) -> bool:
    """Whether the tokenizer has any part in a run: pixel learners take no exemplars of tokens either."""
    return run.config.learner == "tokens"


def environment(run: Experiment) -> dict[str, Any]:
    """What a run is made with: command, versions, machine, and what tells its images and tokenizer from others."""
    identity = {
        name: value
        for name, value in run.data.identity.items()
        if uses_tokenizer(run) or "tokenizer" not in name
    }
    packages = {
        "seit_cl": __version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "avalanche": avalanche.__version__,
    }
    machine = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    held_out = {"held_out": run.data.dataset.held_out} if run.data.dataset.held_out else {}
    hardware = (
        torch.cuda.get_device_name()
        if run.device.type == "cuda"
        else f"{torch.get_num_threads()} threads"
    )
    return {
        "command": run.command,
        **packages,
        **machine,
        "device": f"{run.device} ({hardware})",
        "precision": choose_precision(run.config),
        **identity,
        **held_out,
        "classes": run.names,
    }
