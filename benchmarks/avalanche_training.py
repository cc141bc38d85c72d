"""Training with Avalanche's own Replay (Carta et al., JMLR 2023), set up as its users do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import (
    PathsDataset,
    _make_taskaware_classification_dataset,  # what its nc_benchmark makes of a user's dataset
)
from avalanche.training import Replay
from avalanche.training.plugins import ReplayPlugin, SupervisedPlugin
from avalanche.training.storage_policy import ClassBalancedBuffer
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision import transforms

from benchmarks.measure import finish
from seit_cl.learner.augment.pixels import IMAGENET_MEAN, IMAGENET_STD, PixelAugment

JPEG_QUALITY = 75


class AutocastReplay(Replay):
    """Avalanche's Replay with its forward pass under autocast, for which it has no option.

    Args:
        bf16: compute the forward pass in bf16.
        options: of Replay.
    """

    def __init__(self, bf16: bool, **options: Any) -> None:
        super().__init__(**options)
        self.bf16 = bf16

    def forward(self) -> Tensor:
        """Compute the logits (B, C) float32 of the current mini-batch."""
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = super().forward()
        return logits.float()


class FilledBuffer(ClassBalancedBuffer):
    """Class-balanced buffer that keeps its exemplars, so that every call trains on the same."""

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Keep the exemplars when an experience ends."""


class Stopwatch(SupervisedPlugin):
    """Timer of all epochs but the first, in which Avalanche starts the loader's processes.

    Args:
        device: waited for before the clock is read.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.samples = 0
        self.started = 0.0
        self.seconds = 0.0

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Count the samples of a step."""
        self.samples += len(strategy.mb_x)

    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Start the clock after the first epoch, and read it after every other one."""
        finish(self.device)
        now = time.perf_counter()
        if strategy.clock.train_exp_epochs == 0:  # the clock is the last plugin
            self.started = now
            self.samples = 0
        self.seconds = now - self.started


@dataclass(frozen=True)
class Experiences:
    """Two experiences as datasets of (input, label).

    Args:
        first: source of the exemplars.
        second: trained on.
        transform: of an input in training; None for inputs that are ready.
    """

    first: Any
    second: Any
    transform: Callable[[Any], Tensor] | None = None

    def stream(self) -> Any:
        """Build Avalanche's stream of both experiences."""
        groups = {"train": (self.transform, None), "eval": (self.transform, None)}
        datasets = []
        for data in (self.first, self.second):
            datasets.append(
                _make_taskaware_classification_dataset(data, transform_groups=groups, task_labels=0)
            )
        return benchmark_from_datasets(train=datasets).train_stream


def ready_tensors(inputs: Tensor, labels: Tensor) -> TensorDataset:
    """Build a dataset of tensors (N, D, h, w) that need no transform."""
    data = TensorDataset(inputs, labels)
    data.targets = labels.tolist()  # type: ignore[attr-defined]  # where Avalanche reads them
    return data


def jpeg_files(folder: Path, images: Tensor, labels: Tensor) -> Any:
    """Write images as JPEG files and list them in Avalanche's dataset, which decodes them by PIL.

    Args:
        folder: is made.
        images: (N, 3, S, S) uint8.
        labels: (N,).
    """
    folder.mkdir(parents=True)
    files = []
    for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        path = folder / f"{index:06d}.jpg"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, quality=JPEG_QUALITY)
        files.append((str(path), label))
    return PathsDataset(None, files)


def torchvision_transform(augment: PixelAugment) -> Callable[[Any], Tensor]:
    """Build torchvision's usual transform of a PIL image with the settings of ours."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(augment.crop, scale=(augment.options.pixel_rrc, 1.0)),
            transforms.RandomHorizontalFlip(augment.options.flip_p),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


@dataclass
class AvalancheTraining:
    """Training with Avalanche's Replay on the second of two experiences.

    A call takes `steps` steps or a few more, after one epoch that is not timed. There are neither
    metrics nor tests.

    Args:
        experiences: the data.
        model: gives logits (B, C) from inputs (B, D, h, w).
        device: of model and batches.
        precision: of the forward pass, "fp32" or "bf16".
        batch: fresh samples a step.
        replay_batch: exemplars a step.
        steps: to be timed; rounded up to whole epochs.
        workers: processes of the loader; 0 loads in the training process.
    """

    experiences: Experiences
    model: nn.Module
    device: torch.device
    precision: str
    batch: int
    replay_batch: int
    steps: int
    workers: int = 0
    stopwatch: Stopwatch = field(init=False)
    strategy: Any = field(init=False)
    memory: FilledBuffer = field(init=False)

    def __post_init__(self) -> None:
        """Build the strategy and fill its memory with samples of the first experience."""
        exemplars = len(self.experiences.first)
        epoch_steps = -(-len(self.experiences.second) // self.batch)
        self.stopwatch = Stopwatch(self.device)
        self.model.to(self.device)
        with quiet_library():
            self.stream = self.experiences.stream()
            self.strategy = AutocastReplay(
                bf16=self.precision == "bf16",
                model=self.model,
                optimizer=torch.optim.AdamW(self.model.parameters(), fused=True),
                criterion=nn.CrossEntropyLoss(),
                mem_size=exemplars,
                train_mb_size=self.batch,
                train_epochs=1 - (-self.steps // epoch_steps),
                device=self.device,
                evaluator=None,
                plugins=[self.stopwatch],
            )
            self.memory = FilledBuffer(exemplars)
            self.memory.update_from_dataset(self.stream[0].dataset)
        for plugin in self.strategy.plugins:
            if isinstance(plugin, ReplayPlugin):
                plugin.storage_policy = self.memory
                plugin.batch_size_mem = self.replay_batch

    def rate(self) -> float:
        """Train on the second experience, and return images per second."""
        # Its replay loader takes no notice of pin_memory; its users set it.
        options = {"num_workers": self.workers, "pin_memory": self.device.type == "cuda"}
        if self.workers:
            options["persistent_workers"] = True
        with quiet_library():
            self.strategy.train(self.stream[1], eval_streams=[], **options)
        return self.stopwatch.samples / self.stopwatch.seconds


def quiet_library() -> warnings.catch_warnings[list[warnings.WarningMessage]]:
    """Silence Avalanche's warnings about its own deprecated calls, which it switches on again."""
    return warnings.catch_warnings(record=True)
