"""Published checkpoints: reading a state_dict without unpickling anything, and fitting it to a model key for key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_tensors

Model = TypeVar("Model", bound=nn.Module)
NAMED = 6  # tensors that a message lists


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, or of a file of torch.save that holds tensors or {"state_dict": tensors}.

    Args:
        path: .safetensors, or any other ending for torch.save.

    Returns:
        Tensors by name, and the metadata of a safetensors file.

    Raises:
        UserError: no such file, another kind of file, or one that holds more than tensors and would have to be unpickled.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give a .safetensors, .ckpt or .pt file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: not a readable safetensors file ({type(error).__name__}); fetch it again"
            ) from error
    return _unwrapped(path, load_tensors(path)), {}


def _unwrapped(path: Path, content: Any) -> dict[str, Tensor]:
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(tensor, Tensor) for tensor in state.values())
    ):
        raise UserError(
            f"{path}: holds no state_dict; give a file with tensors by name, or {{'state_dict': such tensors}}"
        )
    return {str(name): tensor.detach() for name, tensor in state.items()}


def without(state: dict[str, Tensor], prefixes: tuple[str, ...]) -> tuple[dict[str, Tensor], str]:
    """The tensors that a tokenizer needs, and what was left out, for the card.

    Args:
        state: tensors by name.
        prefixes: of the names to leave out, e.g. "loss.", the discriminator and perceptual network of a training.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}
    counts = {prefix: sum(name.startswith(prefix) for name in state) for prefix in prefixes}
    return kept, ", ".join(
        f"{count} tensors of {prefix}*" for prefix, count in counts.items() if count
    )


def own_card(metadata: dict[str, str], ignored: str) -> dict[str, str]:
    """The card of a tokenizer: what its file's metadata tell people, and what was left out of it."""
    card = {
        name: text for name, text in metadata.items() if name not in ("kind", "identity", "format")
    }
    return {**card, "ignored": ignored} if ignored else card


def check_anchors(source: str, what: str, state: dict[str, Tensor], anchors: Iterable[str]) -> None:
    """Refuse tensors that lack those from which the sizes are read.

    Raises:
        UserError: listing what is missing.
    """
    if missing := [name for name in anchors if name not in state]:
        raise UserError(
            f"{source}: no checkpoint of a {what}: missing {_some(missing)}; it has {_some(list(state))}"
        )


def fitted(source: str, what: str, state: dict[str, Tensor], build: Callable[[], Model]) -> Model:
    """The model with these tensors, in float32, key for key.

    Args:
        source: the file, for messages.
        what: the kind of model, for messages.
        state: tensors by name; those in float32 are taken over without a copy.
        build: makes the model; called where tensors take no memory.

    Raises:
        UserError: listing names that are missing or left over, and shapes that differ.
    """
    try:
        with torch.device("meta"):
            model = build()
    except (RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{source}: its shapes are no {what}'s ({error})") from error
    expected = model.state_dict()
    problems = [
        f"{words} {_some(names)}"
        for words, names in (
            ("missing", [name for name in expected if name not in state]),
            ("left over", [name for name in state if name not in expected]),
            (
                "of another shape",
                [
                    f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
                    for name, tensor in expected.items()
                    if name in state and state[name].shape != tensor.shape
                ],
            ),
        )
        if names
    ]
    if problems:
        raise UserError(f"{source}: does not fit a {what} of its sizes: {'; '.join(problems)}")
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return model.eval().requires_grad_(False)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
