"""Mean training loss of every epoch, summed on the device and read once an experience."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from seit_cl.learner.learner import StepResult
from seit_cl.results.names import LOSS_COLUMNS


class EpochLosses:
    """Sums of the losses of an experience's steps, by epoch.

    Nothing waits for the device before `rows`.
    """

    def __init__(self) -> None:
        self._sums: list[Tensor] = []
        self._steps: list[int] = []

    def add(self, result: StepResult) -> None:
        """Add the loss of a step, which follows those added before."""
        if result.epoch == len(self._sums):
            self._sums.append(torch.zeros(1, dtype=torch.float64, device=result.loss.device))
            self._steps.append(0)
        self._sums[-1] += result.loss
        self._steps[-1] += 1

    def rows(self, experience: int) -> Tensor:
        """Return the rows of losses.csv, one an epoch: (epochs, 4) float64, on the CPU.

        Args:
            experience: index of the experience, from 0.
        """
        if not self._sums:
            return torch.empty((0, len(LOSS_COLUMNS)), dtype=torch.float64)
        steps = torch.tensor(self._steps, dtype=torch.float64)
        means = torch.cat(self._sums).cpu() / steps
        epochs = torch.arange(len(steps), dtype=torch.float64)
        return torch.stack([torch.full_like(epochs, experience), epochs, steps, means], 1)


def losses_table(rows: Tensor) -> pd.DataFrame:
    """Rows (n, 4) of `EpochLosses.rows` as the table of losses.csv."""
    table = pd.DataFrame(rows.numpy(), columns=list(LOSS_COLUMNS))
    return table.astype({"experience": "int64", "epoch": "int64", "steps": "int64"})
