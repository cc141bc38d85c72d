"""FLOPs of a run: its columns of summary.csv, and the steps that a budget of FLOPs allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.flops import FlopMeter, flop_counter
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.loaders import MemoryLoader, ReplayLoader
from seit_cl.learner.step_flops import LearnerFlops


def flops_metadata(
    meter: FlopMeter, flops_per_image: int, train_images: int, test_images: int
) -> dict[str, int]:
    """The columns of summary.csv about FLOPs.

    Args:
        meter: has counted the run.
        flops_per_image: of tokenizing an image; 0 for a learner of pixels.
        train_images: number of training images in the stream, each of which is tokenized once.
        test_images: number of test images in the stream, likewise.
    """
    totals = meter.totals
    values = {
        "flops_training": totals["training"],
        "flops_strategy": totals["strategy"] + totals["hooks"],
        "flops_tokenizing": flops_per_image * train_images,
        "flops_decoding": totals["decoding"],
        "flops_encoding": totals["encoding"],
        "flops_selection": totals["selection"],
        "flops_testing": totals["testing"] + flops_per_image * test_images,
    }
    return values | {"flops_total": sum(values.values())}


def tokenizing_flops(data: RunData) -> int:
    """FLOPs of tokenizing one image; 0 where the data are tokens already."""
    if not data.dataset.has_images:
        return 0
    image = torch.zeros(1, 3, data.resolution, data.resolution, dtype=torch.uint8)
    with flop_counter() as counter:
        data.tokenizer.encode(image)
    return int(counter.get_total_flops())


def training_flops(meter: FlopMeter) -> int:
    """FLOPs so far that a budget limits: of training steps, and of what the strategy adds."""
    totals = meter.totals
    return totals["training"] + totals["strategy"] + totals["hooks"]


@dataclass(frozen=True)
class FlopsBudget:
    """The shares of a budget of FLOPs that the experiences of a stream get.

    A share is proportional to the experience's fresh samples. What an experience leaves or exceeds,
    less than a step or the work of hooks, is carried over to the next one.

    Args:
        flops: of the whole run.
        samples: number of fresh samples of each experience.
        must_step: True if every experience has to take a step.
        one_pass: True if an experience may be trained on once only.
    """

    flops: float
    samples: Sequence[int]
    must_step: bool
    one_pass: bool

    def left(self, experience: int, spent: int) -> int:
        """FLOPs of an experience, where the run has spent some before it."""
        share = sum(self.samples[: experience + 1]) / sum(self.samples)
        return math.floor(self.flops * share) - spent

    def steps(self, experience: int, spent: int, full: int, last: int, steps_per_epoch: int) -> int:
        """Number of steps that an experience takes.

        Args:
            experience: its index.
            spent: FLOPs before its steps, and those foreseen for the hooks around them.
            full: FLOPs of a step of a full batch.
            last: FLOPs of the last step of an epoch.
            steps_per_epoch: number of steps of an epoch, that one included.

        Raises:
            UserError: not even one, where every experience has to take one.
        """
        left = self.left(experience, spent)
        steps = steps_within(left, full, last, steps_per_epoch)
        one_step = last if steps_per_epoch == 1 else full
        too_small = self.must_step and steps == 0
        if too_small or self.flops < one_step:
            share = sum(self.samples[: experience + 1]) / sum(self.samples)
            needed = (spent + one_step) / share
            raise UserError(
                f"--flops-budget {self.flops:g}: experience {experience + 1} of "
                f"{len(self.samples)} has {max(0, left):.3g} FLOPs, and a step takes "
                f"{one_step:.3g}; give {math.ceil(needed * 1.01):.3g} or more, or a smaller --batch"
            )
        return min(steps, steps_per_epoch) if self.one_pass else steps


def steps_within(flops: int, full: int, last: int, steps_per_epoch: int) -> int:
    """The largest number of steps whose FLOPs together are within a number of FLOPs.

    Args:
        flops: the limit; a negative one allows no step.
        full: FLOPs of each step of an epoch but the last.
        last: FLOPs of the last, at most as many.
        steps_per_epoch: number of steps of an epoch.
    """
    of_epoch = (steps_per_epoch - 1) * full + last
    if flops < 0 or of_epoch == 0:
        return 0
    epochs, rest = divmod(flops, of_epoch)
    rest_steps = min(rest // full, steps_per_epoch - 1) if full else 0
    return int(epochs * steps_per_epoch + rest_steps)


def epoch_flops(
    flops: LearnerFlops, loader: ReplayLoader | MemoryLoader, exemplars: int
) -> tuple[int, int]:
    """FLOPs of a full step and of the last step of an epoch of the present experience.

    Args:
        flops: counts them; the learner has begun the experience.
        loader: gives the steps.
        exemplars: number of exemplars in the memory.
    """
    replay = loader.replay_batch if exemplars else 0
    full = flops.step(loader.batch, replay, exemplars).total
    if loader.last_batch == loader.batch:
        return full, full
    return full, flops.step(loader.last_batch, replay, exemplars).total
