"""Files of weights of learned codecs: read, and checked name by name before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from seit_cl.core.digests import digest
from seit_cl.core.errors import UserError
from seit_cl.core.tensor_files import read_tensor_file
from seit_cl.core.torch_files import load_tensors
from seit_cl.formats._learned_nets import HyperSynthesis, shapes
from seit_cl.formats._symbols import SymbolTables

AGAIN = "get the file again, or train it again (docs/formats.md)"
WANTED = "weights of CompressAI's bmshj2018-factorized or bmshj2018-hyperprior are needed"
BOTTLENECK = "entropy_bottleneck"
GAUSSIAN = "gaussian_conditional"
TABLES = ("_quantized_cdf", "_cdf_length", "_offset")
SCALES = f"{GAUSSIAN}.scale_table"
# What a state dict of CompressAI has besides: parameters that its tables are made of, and bounds.
NOT_USED = (f"{BOTTLENECK}.", f"{GAUSSIAN}.")
REPARAMETRIZED = ("beta_reparam", "gamma_reparam")


@dataclass(frozen=True)
class LearnedCodec:
    """Weights and tables of a codec.

    Args:
        state: float32 tensors by name, as `shapes` lists them.
        bottleneck: tables of the latents y, or of the side information z of a hyperprior.
        gaussian: tables of y for each scale of a hyperprior; None without one.
        scales: (T,) float64, the scales, ascending; None without a hyperprior.
        hyper: the network that finds the scales; None without a hyperprior.
        codec_bytes: bytes of the weights and of the tables' entries, of 4 bytes each.
        identity: changes with any of them.
    """

    state: Mapping[str, Tensor]
    bottleneck: SymbolTables
    gaussian: SymbolTables | None
    scales: Tensor | None
    hyper: HyperSynthesis | None
    codec_bytes: int
    identity: str

    @property
    def medians(self) -> Tensor:
        """(M, 1, 1) of y, or (N, 1, 1) of z: integers are distances from them."""
        return self.state[f"{BOTTLENECK}.quantiles"][:, 0, 1, None, None]

    @property
    def stride(self) -> int:
        """Pixels that sides are multiples of: 16, or 64 with a hyperprior."""
        return 16 if self.hyper is None else 64


def read_codec(path: Path) -> LearnedCodec:
    """Read a safetensors file, or a state dict of torch.save.

    Raises:
        UserError: no such file, a damaged one, or other weights.
    """
    tensors = _read(path)
    try:
        return _codec(tensors)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {WANTED}") from error


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        UserError: no such file, a damaged one, or one without tensors by name.
    """
    if not path.is_file():
        raise UserError(f"learned: weights={path}: no such file; {WANTED}")
    if path.suffix == ".safetensors":
        try:
            return read_tensor_file(path, AGAIN).tensors
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: no safetensors file ({type(error).__name__}); {AGAIN}"
            ) from error
    content = load_tensors(path)
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: no tensors by name; {WANTED}")
    found = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return {name: tensor.detach() for name, tensor in found.items()}


def _codec(tensors: Mapping[str, Tensor]) -> LearnedCodec:
    """Check tensors and make the codec.

    Raises:
        ValueError: telling the first thing that differs.
    """
    hyperprior = any(name.startswith("h_s.") for name in tensors)
    expected = shapes(*_sizes(tensors), hyperprior)
    table_names = [f"{BOTTLENECK}.{name}" for name in TABLES]
    if hyperprior:
        table_names += [SCALES, *(f"{GAUSSIAN}.{name}" for name in TABLES)]
    _check_names(tensors, [*expected, *table_names])
    for name, shape in expected.items():
        found = tensors[name]
        if tuple(found.shape) != shape or not found.is_floating_point():
            raise ValueError(f"{name} is {found.dtype} {tuple(found.shape)}, not floats of {shape}")
        if not bool(found.isfinite().all()):
            raise ValueError(f"{name} has values that are not finite")
    state = {name: tensors[name].float() for name in expected}
    rows = expected[f"{BOTTLENECK}.quantiles"][0]
    bottleneck, counted = _tables(tensors, BOTTLENECK, rows)
    gaussian = scales = hyper = None
    if hyperprior:
        scales = _scales(tensors[SCALES])
        gaussian, more = _tables(tensors, GAUSSIAN, len(scales))
        counted += more + 4 * len(scales)
        hyper = HyperSynthesis(state)
    return LearnedCodec(
        state,
        bottleneck,
        gaussian,
        scales,
        hyper,
        counted + sum(4 * tensor.numel() for tensor in state.values()),
        _identity({name: tensors[name] for name in (*expected, *table_names)}),
    )


def _sizes(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """N and M, from the first and last convolution of the analysis.

    Raises:
        ValueError: they are missing or no convolutions.
    """
    first, last = tensors.get("g_a.0.weight"), tensors.get("g_a.6.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        raise ValueError("no g_a.0.weight and g_a.6.weight of convolutions")
    return len(first), len(last)


def _check_names(tensors: Mapping[str, Tensor], needed: list[str]) -> None:
    """Check that all tensors are there, and none of another architecture.

    Raises:
        ValueError: naming the first.
    """
    for name in needed:
        if name not in tensors or tensors[name].numel() == 0:
            advice = "; call update() of the model before its weights are saved"
            is_table = name.rpartition(".")[2] in (*TABLES, "scale_table")
            raise ValueError(f"{name} is missing{advice if is_table else ''}")
    for name in tensors:
        is_known = name in needed or name.startswith(NOT_USED)
        if not is_known and not any(part in name.split(".") for part in REPARAMETRIZED):
            raise ValueError(f"{name} is of another architecture")


def _tables(tensors: Mapping[str, Tensor], part: str, rows: int) -> tuple[SymbolTables, int]:
    """Tables of a part of the model, and the bytes of their entries.

    Raises:
        ValueError: not a table for each of so many rows.
    """
    cumulative, lengths, first = (tensors[f"{part}.{name}"] for name in TABLES)
    is_table = cumulative.ndim == 2 and len(cumulative) == rows
    if not is_table or tuple(lengths.shape) != (rows,) or tuple(first.shape) != (rows,):
        raise ValueError(f"{part} has tables of other shapes than {rows} rows")
    try:
        tables = SymbolTables(cumulative, lengths, first)
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error
    return tables, 4 * (int(lengths.sum()) + 2 * rows)


def _scales(table: Tensor) -> Tensor:
    """Scales (T,) float64 of a hyperprior's tables.

    Raises:
        ValueError: they do not ascend.
    """
    if table.ndim != 1 or not table.is_floating_point():
        raise ValueError(f"{SCALES} is no list of numbers")
    if not bool(table.isfinite().all()) or bool((table.diff() <= 0).any()):
        raise ValueError(f"{SCALES} does not ascend")
    return table.double()


def _identity(tensors: Mapping[str, Tensor]) -> str:
    """Digest of tensors by name."""
    parts: list[bytes | memoryview] = []
    for name, tensor in sorted(tensors.items()):
        parts.append(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        contents = tensor.cpu().contiguous().reshape(-1).view(torch.uint8)
        parts.append(contents.numpy().data)
    return digest(*parts)
