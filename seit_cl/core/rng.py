"""Named random generators: one stream for each purpose of a run, derived from the run's seed."""

from __future__ import annotations

import hashlib

import torch

PURPOSES = (
    "initialisation",
    "fresh order",
    "augmentation",
    "replay",
    "replay augmentation",
    "selection",
    "library",
)
SEED_PURPOSES = (*PURPOSES, "projection", "strategy")  # the last ones have a seed, no generator


def derive_seed(seed: int, purpose: str) -> int:
    """Derive a 63-bit seed that is independent of those of other purposes.

    Args:
        seed: the run's seed.
        purpose: one of SEED_PURPOSES.

    Raises:
        ValueError: an unknown purpose.
    """
    if purpose not in SEED_PURPOSES:
        raise ValueError(f"unknown purpose {purpose!r}")
    digest = hashlib.sha256(f"seit_cl/{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Generators:
    """The random generators of one run, by purpose.

    Args:
        seed: the run's seed.
        device: device of the generators for augmentation, which draw on the learner's device; the
            others are on the CPU.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self._by_purpose = {}
        for purpose in PURPOSES:
            on_device = purpose.endswith("augmentation")
            generator = torch.Generator(device if on_device else "cpu")
            self._by_purpose[purpose] = generator.manual_seed(derive_seed(seed, purpose))

    def __getitem__(self, purpose: str) -> torch.Generator:
        return self._by_purpose[purpose]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state of every generator, for a checkpoint."""
        return {purpose: generator.get_state() for purpose, generator in self._by_purpose.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from the state that state_dict returned."""
        for purpose, generator in self._by_purpose.items():
            generator.set_state(state[purpose].cpu())
