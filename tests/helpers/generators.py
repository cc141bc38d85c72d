"""Random generators with a fixed seed."""

import torch


def generator(seed: int = 0, device: str = "cpu") -> torch.Generator:
    """A generator with this seed on a device."""
    return torch.Generator(device).manual_seed(seed)
