"""Lines of a run's log about what its options do not do for its data and its machine."""

from __future__ import annotations

import torch

from seit_cl.config import RunConfig
from seit_cl.core.ranks import Ranks
from seit_cl.core.token_shapes import is_sequence
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy import Strategy


def start_notes(
    config: RunConfig,
    data: RunData,
    strategy: Strategy,
    ranks: Ranks,
    device: torch.device,
    records: bool,
) -> list[str]:
    """Lines for the log of a run that starts.

    Args:
        config: its options, with the time at which the memory is filled.
        data: its dataset and tokenizer.
        strategy: of the run.
        ranks: processes that make it.
        device: of the learner.
        records: True where steps are recorded as CUDA graphs.
    """
    notes = []
    if ranks.several:
        notes.append(f"{ranks.count} processes, which torchrun has started")
    elif device.type == "cuda" and not records:
        reason = "--no-graph" if strategy.capturable else f"--strategy {config.strategy}"
        notes.append(f"{reason}: training steps do not run as CUDA graphs")
    elif records and config.fill == "during":
        changing = "--fill during: the memory changes in the first epoch of an experience"
        notes.append(f"{changing}, whose steps do not run as CUDA graphs")
    if config.learner == "tokens" and is_sequence(data.tokenizer):
        notes.append(
            "tokens are a sequence without places in the image: no random crops (--token-rrc), "
            "no swaps (--swap-p), no CutMix (--cutmix-p)"
        )
    return notes
