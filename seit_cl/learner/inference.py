"""Inference of a learner on raw data: predictions, scores, features and logits, in batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.blocks import IMAGES
from seit_cl.core.precision import float32_products
from seit_cl.core.ranks import Ranks
from seit_cl.learner.interfaces import Augment, FlopCounts
from seit_cl.learner.modes import set_training
from seit_cl.learner.recording import Recorder, in_batches


@dataclass(frozen=True)
class RawSamples:
    """Raw data of samples, of which a batch at a time is in memory.

    Args:
        fetch: gives the raw data (b, ...) of ids (b,).
        ids: (N,).
    """

    fetch: Callable[[Tensor], Tensor]
    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.fetch(self.ids[rows])


Raw = Tensor | RawSamples
TOP = 5  # classes of the largest scores, for top-5 accuracy


@dataclass(frozen=True)
class Answers:
    """Answers of a test, all from the same scores.

    Args:
        predicted: (N,) int64, labels among all classes.
        in_top: (N,) bool, whether the sample's own class is one of the TOP most likely ones.
        within: (N,) int64, labels among the classes of the sample's experience, as a learner that
            is told the experience would answer; -1 where it has no score for any of them. None
            where experiences share classes.
    """

    predicted: Tensor
    in_top: Tensor
    within: Tensor | None = None


class RawInference:
    """Part of a learner that runs its model on data without augmentation.

    Attributes:
        model: a `seit_cl.models.Network`.
        scores: the strategy's scores (B, classes seen) of inputs (B, D, h, w).
        augment: makes the model's inputs of raw data.
        device: of the model.
        test_precision: "fp32" or "tf32", of tests.
        flops: counts the tests; None where nothing is counted.
        ranks: processes that divide the data among them; each has the results of all data.
        most_at_once: samples of a forward pass, for images that are large.
    """

    model: Any
    scores: Callable[[Tensor], Tensor]
    augment: Augment
    device: torch.device
    test_precision: str
    flops: FlopCounts | None
    ranks: Ranks
    most_at_once: int = IMAGES
    _recorder: Recorder | None
    logits: Callable[[Tensor, Callable[[Tensor], Tensor], str], Tensor]
    features: Callable[[Tensor, str], Tensor]

    @torch.inference_mode()
    def predict(self, raw: Raw, batch: int = 512, recorded: bool = True) -> Tensor:
        """Labels (N,) int64, on the CPU, that the strategy predicts for raw data (N, ...).

        Args:
            raw: raw data.
            batch: samples of a forward pass.
            recorded: False between the steps of an experience, whose recording is in use.
        """
        recorder = self._recorder if recorded else None
        if self.flops is not None:
            self.flops.add_test(len(raw))
        with float32_products(self.device, tf32=self.test_precision == "tf32"):
            return self._batched(raw, batch, lambda x: self.scores(x).argmax(1), recorder).cpu()

    @torch.inference_mode()
    def answers(
        self, raw: Raw, labels: Tensor, competitors: Tensor | None = None, batch: int = 512
    ) -> Answers:
        """Answer for raw data, by the strategy's scores.

        Args:
            raw: (N, ...), raw data.
            labels: (N,) int64, the right answers.
            competitors: (C, C) bool; row y has the classes of the experience of class y. None where
                experiences share classes.
            batch: samples of a forward pass.

        Returns:
            Tensors on the CPU.
        """
        others = None if competitors is None else ~competitors.to(self.device)

        def work(inputs: Tensor, expected: Tensor) -> Tensor:
            scores = self.scores(inputs)
            predicted = scores.argmax(1)
            in_top = is_in_top(scores, expected) | (predicted == expected)
            columns = [predicted, in_top.to(torch.int64)]
            if others is not None:
                among_own = scores.masked_fill(others[expected][:, : scores.shape[1]], -torch.inf)
                has_none = among_own.amax(1) == -torch.inf
                columns.append(among_own.argmax(1).masked_fill(has_none, -1))
            return torch.stack(columns, 1)

        if self.flops is not None:
            self.flops.add_test(len(raw))
        with float32_products(self.device, tf32=self.test_precision == "tf32"):
            columns = self._batched(raw, batch, work, self._recorder, labels).cpu().unbind(1)
        within = None if others is None else columns[2]
        return Answers(columns[0], columns[1].bool(), within)

    @torch.inference_mode()
    def raw_scores(self, raw: Raw, batch: int = 512) -> Tensor:
        """Scores (N, classes seen) float32 of the strategy, on the device, of raw data (N, ...)."""
        with float32_products(self.device):
            return self._batched(raw, batch, self.scores)

    @torch.inference_mode()
    def raw_features(self, raw: Raw, batch: int = 512) -> Tensor:
        """Features (N, width) float32, on the CPU, of raw data (N, ...)."""
        with float32_products(self.device):
            return self._batched(raw, batch, lambda x: self.features(x, "fp32")).cpu()

    @torch.inference_mode()
    def raw_logits(self, raw: Raw, batch: int = 512) -> Tensor:
        """Logits (N, classes seen) float32, on the device, of raw data (N, ...)."""
        with float32_products(self.device):
            return self._batched(raw, batch, lambda x: self.logits(x, self.model.forward, "fp32"))

    def _batched(
        self,
        raw: Raw,
        batch: int,
        network: Callable[..., Tensor],
        recorder: Recorder | None = None,
        *others: Tensor,
    ) -> Tensor:
        """Outputs of a network for unaugmented raw data (N, ...), on the device.

        Further arguments (N, ...) of the network are cut into the same batches.

        The model is in evaluation mode meanwhile: batch normalisation uses its running statistics,
        and does not change them.
        """
        was_training = self.model.training
        self.model.eval()

        def work(part: Tensor, *further: Tensor) -> Tensor:
            return network(self.augment(part), *further)

        batch = min(batch, self.most_at_once)
        rows = raw.ids if isinstance(raw, RawSamples) else raw

        def work_on_part(own: Tensor, *further: Tensor) -> Tensor:
            part = RawSamples(raw.fetch, own) if isinstance(raw, RawSamples) else own
            with self._counted_as(len(raw), len(part)):
                return in_batches(work, (part, *further), batch, self.device, recorder)

        outputs = self.ranks.in_parts(work_on_part, rows, *others)
        set_training(self.model, was_training)
        return outputs

    def _counted_as(self, samples: int, own: int) -> AbstractContextManager[None]:
        """Context in which the FLOPs of this rank's own samples count as those of all."""
        if self.flops is None or own == samples:
            return nullcontext()
        return self.flops.counting_part(own, samples)


def is_in_top(scores: Tensor, labels: Tensor, top: int = TOP) -> Tensor:
    """Tell whether fewer than `top` classes are more likely than the right one.

    Of equal scores the class of the smaller label is the more likely one, as for `argmax`.

    Args:
        scores: (B, C), -inf for a class that is never predicted.
        labels: (B,) int64; one that has no score is not in the top.
        top: number of classes.

    Returns:
        (B,) bool.
    """
    classes = scores.shape[1]
    column = labels.clamp(max=classes - 1)[:, None]
    own = scores.gather(1, column)
    is_earlier = torch.arange(classes, device=scores.device) < column
    is_ahead = (scores > own) | ((scores == own) & is_earlier)
    is_scored = (labels < classes) & (own[:, 0] > -torch.inf)
    return (is_ahead.sum(1) < top) & is_scored
