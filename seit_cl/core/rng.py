"""Named generators: each purpose of a run has its own stream of random numbers, derived from the run's seed."""

from __future__ import annotations

import hashlib

import torch

PURPOSES = (
    "initialisation",
    "fresh order",
    "augmentation",
    "mixing",
    "mixing boxes",
    "replay",
    "replay augmentation",
    "replay mixing",
    "replay mixing boxes",
    "selection",
    "library",
)


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose; independent of every other purpose's.

    Args:
        seed: the run's seed.
        purpose: one of PURPOSES.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"unknown purpose {purpose!r}")
    digest = hashlib.sha256(f"seit_cl/{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Generators:
    """The generators of one run, by purpose.

    Args:
        seed: the run's seed.
        device: where the generators of augmentation and of mixing boxes live; the others live on the CPU.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self._by_purpose = {}
        for purpose in PURPOSES:
            place = device if purpose.endswith(("augmentation", "boxes")) else "cpu"
            self._by_purpose[purpose] = torch.Generator(place).manual_seed(
                derive_seed(seed, purpose)
            )

    def __getitem__(self, purpose: str) -> torch.Generator:
        return self._by_purpose[purpose]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Every generator's state, for a checkpoint."""
        return {purpose: generator.get_state() for purpose, generator in self._by_purpose.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where state_dict was taken."""
        for purpose, generator in self._by_purpose.items():
            generator.set_state(state[purpose].cpu())
