"""Avalanche's Replay on the data of our learner, in three ways to give it the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.avalanche_training import (
    AvalancheTraining,
    Experiences,
    jpeg_files,
    ready_tensors,
    torchvision_transform,
)
from benchmarks.workload import Workload
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import build_model, compile_model
from seit_cl.learner.augment.crops import center_crop
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.tokens import TokenAugment

LOOP = "Avalanche, ready embeddings"


def workers_name(workers: int) -> str:
    """Name the training in which Avalanche's loader has that many processes."""
    return f"Avalanche, JPEG files, {workers} workers"


@dataclass(frozen=True)
class AvalanchePeers:
    """Trainings with Avalanche on the same data, model and samples a step as ours.

    Args:
        tokens: data of the token learner.
        pixels: data of the pixel learner.
        steps: to be timed in a call; rounded up to whole epochs.
        exemplars: in its memory, at most.
        workers: processes of its loader, where it has any.
    """

    tokens: Workload
    pixels: Workload
    steps: int
    exemplars: int
    workers: int

    def build(self, folder: Path) -> dict[str, AvalancheTraining]:
        """Build the trainings, by name.

        Args:
            folder: for JPEG files.
        """
        images = self._images(folder)
        return {
            workers_name(0): self._training(self.pixels, images),
            workers_name(self.workers): self._training(self.pixels, images, self.workers),
            LOOP: self._training(self.tokens, self._embeddings()),
        }

    def _ids(self) -> tuple[Tensor, Tensor]:
        """Choose the exemplars, and the samples of an epoch, in whole batches where possible.

        Returns:
            Train set indices (n,) of the first and of the second experience.
        """
        batch = self.tokens.config.batch
        stream = self.tokens.stream()
        second = stream.train[1]
        epoch_steps = min(self.steps, max(1, len(second) // batch))
        return stream.train[0][: self.exemplars], second[: epoch_steps * batch]

    def _images(self, folder: Path) -> Experiences:
        """Write JPEG files, which torchvision's transform augments as PIL images."""
        augment = self.pixels.batches().augment
        assert isinstance(augment, PixelAugment)
        data = self.pixels.data
        labels = self.pixels.labels()
        first, second = self._ids()
        return Experiences(
            jpeg_files(folder / "first", data.read(first), labels[first]),
            jpeg_files(folder / "second", data.read(second), labels[second]),
            torchvision_transform(augment),
        )

    def _embeddings(self) -> Experiences:
        """Embed tokens, in main memory and not augmented."""
        augment = self.tokens.batches().augment
        assert isinstance(augment, TokenAugment)
        labels = self.tokens.labels()

        def dataset(ids: Tensor) -> Any:
            tokens = self.tokens.data.tokens(ids).to(self.tokens.device)
            inputs = augment.embed(center_crop(tokens, augment.crop))
            return ready_tensors(inputs.cpu().contiguous(), labels[ids])

        first, second = self._ids()
        return Experiences(dataset(first), dataset(second))

    def _training(
        self, work: Workload, experiences: Experiences, workers: int = 0
    ) -> AvalancheTraining:
        config = work.config
        assert config.precision != "auto"
        initialisation = Generators(config.seed)["initialisation"]
        plain = replace(config, compile=False)
        model = build_model(plain, work.data, work.classes, initialisation)
        if config.compile:  # on CUDA with graphs of its own, which is fastest for a model alone
            compile_model(model, work.device)
        return AvalancheTraining(
            experiences=experiences,
            model=model,
            device=work.device,
            precision=config.precision,
            batch=config.batch,
            replay_batch=config.replay_batch,
            steps=self.steps,
            workers=workers,
        )
