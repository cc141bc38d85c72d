"""Published checkpoints: their tensors, the models that they are of, and models that take them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from seit_cl.core.errors import UserError, one_line
from seit_cl.core.specs import argument
from seit_cl.core.tensor_files import TensorFile, read_tensor_file
from seit_cl.core.torch_files import load_tensors
from seit_cl.tokenizers.base import DAMAGED

Model = TypeVar("Model", bound=nn.Module)
MAX_NAMES = 6  # tensors that a message lists
PLACES = ("state_dict", "ema", "model")  # names under which checkpoints hold their tensors

# A checkpoint is of the first model whose prefixes all begin some tensor's name. The prefixes are
# the module names of the public projects.
MODEL_PREFIXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "ViT-VQGAN, enhancing-transformers",
        ("encoder.transformer.", "decoder.transformer.", "quantizer.embedding."),
    ),
    ("TiTok", ("encoder.transformer.", "decoder.transformer.", "latent_tokens")),
    ("VQModel, diffusers", ("encoder.down_blocks.", "decoder.up_blocks.", "quantize.embedding.")),
    ("LlamaGen", ("encoder.conv_blocks.", "decoder.conv_blocks.", "quantize.embedding.")),
    ("Open-MAGVIT2", ("encoder.down.", "decoder.up.", "decoder.adaptive.")),
    ("IBQ", ("encoder.down.0.block.3.", "decoder.up.", "quantize.embedding.")),
    ("VQGAN, taming-transformers", ("encoder.down.", "decoder.up.", "quantize.embedding.")),
)


@dataclass(frozen=True)
class CheckpointOptions:
    """Options of a tokenizer that is opened from a published checkpoint.

    Args:
        checkpoint: path of the checkpoint.
    """

    checkpoint: str = argument("CHECKPOINT")


def read_state_dict(path: Path, places: tuple[str, ...] = ("state_dict",)) -> TensorFile:
    """Read the tensors of a checkpoint, and the metadata of a safetensors file.

    Args:
        path: a .safetensors file, or a file of torch.save that holds tensors by name or
            {"state_dict": tensors by name}.
        places: names under which a file of torch.save may hold them, the preferred first.

    Raises:
        UserError: no such file, a damaged one, another kind of file, or one that holds more than
            tensors and would have to be unpickled.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give a .safetensors, .ckpt or .pt file")
    if path.suffix != ".safetensors":
        return TensorFile(_state_dict(path, load_tensors(path), places), {}, has_digest=False)
    try:
        return read_tensor_file(path, DAMAGED)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({type(error).__name__}); fetch it again"
        ) from error


def _state_dict(path: Path, content: Any, places: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors by name in what torch.load gave.

    Raises:
        UserError: it has anything else.
    """
    state = content
    if isinstance(content, dict):
        found = [content[name] for name in places if name in content]
        state = found[0] if found else content
    is_state_dict = isinstance(state, dict) and len(state) > 0
    if not is_state_dict or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(
            f"{path}: holds no state_dict; give a file with tensors by name, or "
            f"{{'{places[0]}': such tensors}}"
        )
    return {str(name): tensor.detach() for name, tensor in state.items()}


def find_tensors(content: Any) -> dict[str, Tensor]:
    """Find the tensors in any checkpoint: its own, or those under one of PLACES.

    Args:
        content: as `load_tensors` gives it.

    Returns:
        Tensors by name, "" for a single tensor; empty where there are none.
    """
    if isinstance(content, Tensor):
        return {"": content}
    if not isinstance(content, Mapping):
        return {}
    for name in PLACES:
        if isinstance(content.get(name), Mapping):
            return find_tensors(content[name])
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def model_of(names: Iterable[str]) -> str:
    """Name the published model that tensors of these names belong to; "" for an unknown one."""
    all_names = list(names)
    for model, prefixes in MODEL_PREFIXES:
        if all(_any_starts_with(all_names, prefix) for prefix in prefixes):
            return model
    return ""


def _any_starts_with(names: list[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def without(state: dict[str, Tensor], prefixes: tuple[str, ...]) -> tuple[dict[str, Tensor], str]:
    """Leave out the tensors that a tokenizer does not need.

    Args:
        state: tensors by name.
        prefixes: of the names to leave out, e.g. "loss.", the discriminator and perceptual network
            of the training.

    Returns:
        The remaining tensors, and a line for the model card that counts the others.
    """
    needed = {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}
    ignored = []
    for prefix in prefixes:
        count = sum(name.startswith(prefix) for name in state)
        if count:
            ignored.append(f"{count} tensors of {prefix}*")
    return needed, ", ".join(ignored)


def card_of(metadata: dict[str, str], ignored: str = "") -> dict[str, str]:
    """Make a model card of a file's metadata.

    Args:
        metadata: of a safetensors file.
        ignored: the tensors that were left out, as `without` counts them.
    """
    technical = ("kind", "identity", "format")
    card = {name: text for name, text in metadata.items() if name not in technical}
    if ignored:
        card["ignored"] = ignored
    return card


def check_anchors(
    source: str, model: str, state: dict[str, Tensor], anchors: Iterable[str]
) -> None:
    """Refuse a checkpoint without the tensors from which the model's sizes are read.

    Args:
        source: the file, for messages.
        model: the kind of model, for messages.
        state: tensors by name.
        anchors: names of the tensors that must be in it.

    Raises:
        UserError: listing what is missing.
    """
    missing = [name for name in anchors if name not in state]
    if missing:
        raise UserError(
            f"{source}: no checkpoint of a {model}: missing {_some(missing)}; "
            f"it has {_some(list(state))}"
        )


def load_model(
    source: str, model: str, state: dict[str, Tensor], build: Callable[[], Model]
) -> Model:
    """Load tensors into a model, in float32 and key for key.

    Args:
        source: the file, for messages.
        model: the kind of model, for messages.
        state: tensors by name; those in float32 are used without a copy.
        build: makes the model; called where tensors take no memory.

    Returns:
        The model, frozen and in evaluation mode.

    Raises:
        UserError: listing names that are missing or left over, and shapes that differ.
    """
    try:
        with torch.device("meta"):
            network = build()
    except Exception as error:  # modules raise anything for strange sizes
        raise UserError(f"{source}: its shapes are no {model}'s ({one_line(error)})") from error
    problems = _differences(network.state_dict(), state)
    if problems:
        raise UserError(f"{source}: does not fit a {model} of its sizes: {'; '.join(problems)}")
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return network.eval().requires_grad_(False)


def _differences(expected: Mapping[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """List names that are missing or left over, and shapes that differ; empty where all fit."""
    missing = [name for name in expected if name not in state]
    left_over = [name for name in state if name not in expected]
    reshaped = []
    for name, tensor in expected.items():
        if name in state and state[name].shape != tensor.shape:
            reshaped.append(f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}")
    problems = []
    if missing:
        problems.append(f"missing {_some(missing)}")
    if left_over:
        problems.append(f"left over {_some(left_over)}")
    if reshaped:
        problems.append(f"of another shape {_some(reshaped)}")
    return problems


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
