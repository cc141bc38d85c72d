"""Weights of tiny learned codecs, drawn at random, and the file of one that tests share."""

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.tensor_files import write_tensor_file
from seit_cl.formats._learned_nets import shapes

FILE = Path(__file__).parents[1] / "formats" / "learned.safetensors"
SPEC = f"learned:weights={FILE}"
TOTAL = 1 << 16


def tables(part: str, scales: Tensor) -> dict[str, Tensor]:
    """Tables of integers whose probability falls off at these scales (T,), of different lengths."""
    half = (3 * scales).ceil().int()
    lengths = 2 * half + 3  # with the escape, and one start more than there are intervals
    rows = torch.zeros(len(scales), int(lengths.max()), dtype=torch.int32)
    for row, scale, reach in zip(rows, scales, half.tolist(), strict=True):
        distances = torch.arange(-reach, reach + 1).abs()
        shares = torch.cat([torch.exp(-distances / scale), torch.tensor([0.001])])
        count = len(shares)
        widths = 1 + ((TOTAL - count) * shares / shares.sum()).int()
        widths[reach] += TOTAL - widths.sum()
        row[1 : count + 1] = widths.cumsum(0)
    return {
        f"{part}._quantized_cdf": rows,
        f"{part}._cdf_length": lengths,
        f"{part}._offset": -half,
    }


def random_weights(hyperprior: bool = False, seed: int = 0, gain: float = 8.0) -> dict[str, Tensor]:
    """Weights and tables of a codec with N = 4 and M = 6.

    Args:
        hyperprior: bmshj2018-hyperprior.
        seed: of the weights.
        gain: of the last layer of the analysis; large ones put latents outside of the tables.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(4, 6, hyperprior).items():
        spread = (shape[-1] * shape[-2] * 4) ** -0.5 if len(shape) == 4 else 0.1
        state[name] = spread * torch.randn(shape, generator=generator)
        if name.endswith("beta"):
            state[name] = 1 + state[name].abs()
        if name.endswith("gamma"):
            state[name] = 0.3 * torch.eye(shape[0]) + state[name].abs() * 0.1
    state["g_a.6.weight"] *= gain
    quantiles = state["entropy_bottleneck.quantiles"]
    state |= tables("entropy_bottleneck", torch.linspace(0.3, 4, len(quantiles)))
    if hyperprior:
        state["h_s.4.bias"] += 1.0
        scales = torch.logspace(-1, 1, 12)
        state |= tables("gaussian_conditional", scales)
        state["gaussian_conditional.scale_table"] = scales
    return state


def write_weights(path: Path, state: dict[str, Tensor]) -> str:
    """Write weights, and return the format's spec."""
    write_tensor_file(path, state, {})
    return f"learned:weights={path}"


if __name__ == "__main__":
    write_weights(FILE, random_weights())
