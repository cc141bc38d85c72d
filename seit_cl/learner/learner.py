"""The learner as an Avalanche strategy: SupervisedTemplate with our batches, our head and our optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from seit_cl.core.devices import to_device
from seit_cl.learner.batches import (
    Augment,
    Batch,
    FirstSteps,
    Memory,
    MemoryLoader,
    ReplayLoader,
)
from seit_cl.learner.optim import Optimisation, adamw
from seit_cl.learner.strategy import Strategy


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
        one_optimiser: one AdamW goes through the whole stream, with a constant rate after the first experience's warm-up, in
            the place of a fresh one with a schedule for every experience: for streams that do not tell where experiences end.
        new_model: makes a model like the first one with weights of its own, on the CPU, for strategies that start over.
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
        one_optimiser: bool = False,
        on_step: Callable[[int, int, int], None] = lambda epoch, step, steps: None,
        new_model: Callable[[], nn.Module] | None = None,
    ) -> None:
        self.strategy, self.optimisation, self.grow_head, self.on_step = (
            strategy,
            optimisation,
            grow_head,
            on_step,
        )
        self.augment, self.steps_done, self._new_model, self.one_optimiser = (
            augment,
            0,
            new_model,
            one_optimiser,
        )
        self.seen = self.seen_before = 0
        self.memory: Memory | None = None
        self.loader: ReplayLoader | MemoryLoader
        self.new_optimizer, model = adamw, model.to(device)
        super().__init__(
            model=model,
            optimizer=adamw(model, optimisation, 1)[0],
            device=device,
            train_epochs=optimisation.epochs,
            evaluator=None,
            plugins=list(strategy.avalanche_plugins),
        )
        strategy.learner = self

    def fit(
        self, experience: Any, loader: ReplayLoader | MemoryLoader, seen: int, seen_before: int = 0
    ) -> None:
        """Train on one experience.

        Args:
            experience: Avalanche's, for its hooks.
            loader: gives the steps of an epoch.
            seen: number of classes seen, this experience included.
            seen_before: the same without it.
        """
        self.loader, self.seen, self.seen_before = loader, seen, seen_before
        if not self.strategy.avalanche_plugins:
            self.train(experience)
            return
        with torch.random.fork_rng():  # plugins draw from the global generator
            torch.manual_seed(
                int(torch.randint(2**62, (), generator=loader.make.generators["library"]))
            )
            self.train(experience)

    def fresh_samples(self, batch: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """The experience's samples as raw data (B, ...) and labels (B,), on the CPU, batch by batch, in the stream's order."""
        loader = self.loader
        assert isinstance(loader, ReplayLoader), (
            "a strategy that trains on exemplars alone has no fresh samples"
        )
        for rows in torch.arange(len(loader.ids)).split(batch):
            yield loader.raw(loader.ids[rows]), loader.labels[rows]

    def start_over(self) -> None:
        """Give the model new weights, as before the first experience."""
        assert self._new_model is not None
        self.model.load_state_dict(self._new_model().state_dict())

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """The steps of an epoch are the ReplayLoader's."""
        self.dataloader: Any = self.loader

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """A fresh optimiser and schedule for every experience, or the same one: warmed up in the first, then at its peak rate."""
        steps = len(self.loader) * self.optimisation.epochs
        if not self.one_optimiser:
            self.optimizer, self.schedule = self.new_optimizer(self.model, self.optimisation, steps)
            return
        warm = 1 if self.steps_done else max(1, round(self.optimisation.warmup * steps))
        self.schedule = LambdaLR(self.optimizer, lambda step: min(1.0, (step + 1) / warm))

    def _unpack_minibatch(self) -> None:
        self.mbatch: Any
        fresh, replay = (
            self.mbatch
            if isinstance(self.mbatch[0], Batch)
            else (self._of_plugin(*self.mbatch[:2]), None)
        )
        parts = [fresh] if replay is None or self.strategy.replay_apart else [fresh, replay]
        labels = torch.cat([batch.labels for batch in parts])
        self.step_batches: tuple[Batch, Batch | None] = (fresh, replay)
        # Channels last: the stem's convolution runs twice as fast in bf16 on a CPU, and without a copy on CUDA.
        inputs = torch.cat([batch.inputs for batch in parts]).contiguous(
            memory_format=torch.channels_last
        )
        self.mbatch = [inputs, labels, torch.zeros_like(labels)]

    def _of_plugin(self, raw: Tensor, labels: Tensor) -> Batch:
        """A batch from a plugin's own loader; which samples they are it does not say."""
        return self.loader.make(raw, labels, torch.full_like(labels, -1))

    def logits(self, inputs: Tensor, precision: str, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Logits (B, seen) float32 that a network gives for inputs (B, D, h, w), in a precision, "fp32" or "bf16"."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = network(inputs)
        return logits.float()[:, : self.seen] if self.grow_head else logits.float()

    def embed(self, inputs: Tensor, precision: str, model: Any = None) -> Tensor:
        """What the head sees (B, width) float32 that a model, by default the learner's, makes of inputs (B, D, h, w)."""
        network: Any = self.model if model is None else model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16"):
            features: Tensor = network.forward_head(
                network.forward_features(inputs), pre_logits=True
            )
        return features.float()

    def forward(self) -> Tensor:
        """One forward pass over fresh samples and exemplars together; fills in the batches' logits, and features if used."""
        precision, inputs, network = self.optimisation.precision, self.mb_x, self.model
        if self.strategy.uses_features:
            inputs, network = self.embed(inputs, precision), self.model.head
        logits = self.logits(inputs, precision, network)
        fresh, replay = self.step_batches
        count = len(fresh.labels)
        fresh.logits, fresh.features = logits[:count], inputs[:count]
        if replay is not None and not self.strategy.replay_apart:
            replay.logits, replay.features = logits[count:], inputs[count:]
        return logits

    def criterion(self) -> Tensor:
        """The strategy's loss."""
        return self.strategy.loss(*self.step_batches)

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.strategy.before_training_exp()
        super()._before_training_exp(**kwargs)
        if self.dataloader is not self.loader:  # a plugin's own
            self.dataloader = FirstSteps(self.dataloader, len(self.loader))

    def _after_backward(self, **kwargs: Any) -> None:
        super()._after_backward(**kwargs)
        self.strategy.after_backward(*self.step_batches)

    def _after_training_exp(self, **kwargs: Any) -> None:
        self.strategy.after_training_exp()
        super()._after_training_exp(**kwargs)

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
        """Labels (N,) int64, on the CPU, that the strategy predicts for raw data (N, ...)."""
        return self._over(raw, batch, self.strategy.predict).cpu()

    @torch.inference_mode()
    def features(self, raw: Tensor, batch: int = 512) -> Tensor:
        """What the head sees (N, width) float32, on the CPU, of raw data (N, ...)."""
        return self._over(raw, batch, lambda inputs: self.embed(inputs, "fp32")).cpu()

    @torch.inference_mode()
    def scores(self, raw: Tensor, batch: int = 512) -> Tensor:
        """Logits (N, seen) float32, on the device, of raw data (N, ...)."""
        return self._over(
            raw, batch, lambda inputs: self.logits(inputs, "fp32", self.model.forward)
        )

    def _over(self, raw: Tensor, batch: int, network: Callable[[Tensor], Tensor]) -> Tensor:
        """What a network makes of raw data (N, ...), unaugmented, batch by batch; on the device."""
        self.model.eval()
        return torch.cat(
            [
                network(self.augment(to_device(chunk, self.device), None, train=False))
                for chunk in raw.split(batch)
            ]
        )
