"""The learner as an Avalanche strategy: SupervisedTemplate with our batches, our head and our optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.training.templates import SupervisedTemplate
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

from seit_cl.devices import send
from seit_cl.learner.batches import Augment, Batch, ReplayLoader
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Optimisation:
    """How each experience is optimised: AdamW, linear warm-up, cosine to zero.

    Args:
        epochs: passes over an experience's fresh samples.
        learning_rate: peak.
        weight_decay: AdamW's; as in DeiT and SeiT not on biases, norms and the position embedding.
        warmup: fraction of the steps.
        clip: largest gradient norm.
        precision: "fp32" or "bf16" (autocast of the forward pass).
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float
    precision: str


class Learner(SupervisedTemplate):
    """Trains a model on the batches of a ReplayLoader under a strategy's loss.

    Args:
        model: logits (B, C) from inputs (B, D, h, w).
        strategy: its loss and hooks.
        optimisation: see Optimisation.
        augment: from raw data to the model's inputs; the ReplayLoader's batches went through it, tests go through it.
        grow_head: restrict the logits to the classes seen; False for a fixed head.
        device: of model and batches.
        on_step: called after every step with (epoch, step of the epoch, steps an epoch).
        plugins: Avalanche plugins to run beside.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        strategy: Strategy,
        optimisation: Optimisation,
        augment: Augment,
        grow_head: bool,
        device: torch.device,
        on_step: Callable[[int, int, int], None] = lambda epoch, step, steps: None,
        plugins: list[Any] | None = None,
    ) -> None:
        self.strategy, self.optimisation, self.grow_head, self.on_step = strategy, optimisation, grow_head, on_step
        self.augment, self.seen, self.steps_done = augment, 0, 0
        self.loader: ReplayLoader
        super().__init__(
            model=model.to(device), optimizer=torch.optim.AdamW(model.parameters()), device=device,
            train_epochs=optimisation.epochs, evaluator=None, plugins=plugins,
        )  # fmt: skip

    def fit(self, experience: Any, loader: ReplayLoader, seen: int) -> None:
        """Train on one experience.

        Args:
            experience: Avalanche's, for its hooks.
            loader: gives the steps of an epoch.
            seen: number of classes seen, this experience included.
        """
        self.loader, self.seen = loader, seen
        self.train(experience)

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """The steps of an epoch are the ReplayLoader's."""
        self.dataloader = self.loader

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """A fresh optimiser and schedule for every experience."""
        settings = self.optimisation
        spared: Any = getattr(self.model, "no_weight_decay", tuple)()
        groups = param_groups_weight_decay(self.model, settings.weight_decay, no_weight_decay_list=spared)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        total = len(self.loader) * settings.epochs
        warm = max(1, round(settings.warmup * total))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)

    def _unpack_minibatch(self) -> None:
        self.mbatch: Any
        fresh, replay = self.mbatch
        parts = [batch for batch in (fresh, replay) if batch is not None]
        labels = torch.cat([batch.labels for batch in parts])
        self.step_batches: tuple[Batch, Batch | None] = (fresh, replay)
        # Channels last: the stem's convolution runs twice as fast in bf16 on a CPU, and without a copy on CUDA.
        inputs = torch.cat([batch.inputs for batch in parts]).contiguous(memory_format=torch.channels_last)
        self.mbatch = [inputs, labels, torch.zeros_like(labels)]

    def logits(self, inputs: Tensor, precision: str, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Logits (B, seen) float32 that a network gives for inputs (B, D, h, w), in a precision, "fp32" or "bf16"."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = network(inputs)
        return logits.float()[:, : self.seen] if self.grow_head else logits.float()

    def forward(self) -> Tensor:
        """One forward pass over fresh samples and exemplars together; fills in the batches' logits."""
        logits = self.logits(self.mb_x, self.optimisation.precision, self.model)
        fresh, replay = self.step_batches
        fresh.logits = logits[: len(fresh.labels)]
        if replay is not None:
            replay.logits = logits[len(fresh.labels) :]
        return logits

    def criterion(self) -> Tensor:
        """The strategy's loss."""
        return self.strategy.loss(*self.step_batches)

    def optimizer_step(self) -> None:
        """Clip, step, and move the schedule on."""
        nn.utils.clip_grad_norm_(self.model.parameters(), self.optimisation.clip)
        self.optimizer.step()
        self.schedule.step()
        self.steps_done += 1
        done = self.clock.train_epoch_iterations + 1
        self.on_step(self.clock.train_exp_epochs, done, len(self.loader))

    @torch.inference_mode()
    def predict(self, raw: Tensor, batch: int = 512) -> Tensor:
        """Predicted labels (N,) int64, on the CPU, of raw data (N, ...).

        Always in float32: bf16 logits tie at the top in about 1 % of images, and a tie would go to the older class. Never
        compiled: other batches in another precision are not worth graphs of their own.
        """
        return self._over(raw, batch, lambda inputs: self.logits(inputs, "fp32", self.model.forward).argmax(1))

    @torch.inference_mode()
    def features(self, raw: Tensor, batch: int = 512) -> Tensor:
        """What the head sees (N, width) float32, on the CPU, of raw data (N, ...)."""
        model: Any = self.model
        return self._over(raw, batch, lambda inputs: model.forward_head(model.forward_features(inputs), pre_logits=True))

    def _over(self, raw: Tensor, batch: int, network: Callable[[Tensor], Tensor]) -> Tensor:
        """What a network makes of raw data (N, ...), unaugmented, batch by batch; on the CPU."""
        self.model.eval()
        parts = [network(self.augment(send(chunk, self.device), None, train=False)) for chunk in raw.split(batch)]
        return torch.cat(parts).cpu()
