"""Files of weights that a network starts from: read, checked against it, and copied into it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from seit_cl.core.digests import damaged, digest, file_digest
from seit_cl.core.errors import UserError
from seit_cl.core.notes import note_no_digest
from seit_cl.core.tensor_files import read_tensor_file, write_tensor_file
from seit_cl.core.torch_files import load_tensors

FILE = "model.safetensors"  # of a run with --save-model
CHECKPOINT = "checkpoint.pt"  # of a run that is not finished
WRAPPERS = ("_orig_mod.", "module.", "model.")  # prefixes that torch and training scripts put
HEADS = ("head", "fc", "linear", "classifier", "head.fc")  # names of heads in other files
# Names of the same parts in other ResNets' files.
RENAMED = ((".shortcut.", ".downsample."),)
AGAIN = "get it again, or run again with --save-model"
ORIGIN = "origin"  # metadata of a file: how its weights were made, as JSON
COUNTER = "num_batches_tracked"  # of batch normalisation; older files have none


@dataclass(frozen=True)
class Weights:
    """Tensors of a file.

    Args:
        path: the file.
        tensors: by name.
        classes: names of the classes of its head's rows; None where the file does not tell.
        origin: how the weights were made, from the metadata of a file of ours; empty elsewhere.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    classes: Sequence[str] | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def check(self, network: nn.Module, model: str) -> dict[str, Tensor]:
        """Return the file's tensor for every tensor of a network but its head's.

        The position embedding of a ViT is resampled where its grid has another size.

        Args:
            network: a `seit_cl.models.Network`, on any device.
            model: its spec, for messages.

        Raises:
            UserError: naming the first tensor that differs.
        """
        given = _without_wrappers(self.tensors)
        heads = _head_prefixes(network)
        matched: dict[str, Tensor] = {}
        for name, tensor in network.state_dict().items():
            if name.startswith("head."):
                continue
            foreign = _name_in(given, name)
            if foreign is None and not name.endswith(COUNTER):
                raise self._misfit(model, f"it has no {_plain(name)}")
            if foreign is not None:
                found = _of_grid(name, given.pop(foreign), tensor.shape)
                if found.shape != tensor.shape:
                    shapes = f"{tuple(found.shape)} there and {tuple(tensor.shape)} here"
                    raise self._misfit(model, f"{_plain(name)} is {shapes}")
                matched[name] = found
        left = [name for name in given if not name.startswith(heads)]
        if left:
            raise self._misfit(model, f"it has {left[0]}, and the model has no such tensor")
        return matched

    def load(self, network: nn.Module, model: str, classes: Sequence[str] = ()) -> str:
        """Copy the tensors into a network; the head's only where its classes are the same.

        Args:
            network: a `seit_cl.models.Network`; changed in place.
            model: its spec, for messages.
            classes: names of the classes of its head's rows.

        Returns:
            What was loaded and what was left out, for the run's log.

        Raises:
            UserError: as `check`.
        """
        tensors = self.check(network, model)
        head = self._head(network) if self._has_classes(classes) else {}
        own = network.state_dict()
        with torch.no_grad():
            for name, tensor in {**tensors, **head}.items():
                own[name].copy_(tensor)
        return f"{self.path.name}: {len(tensors)} tensors loaded; {self._about_head(head, classes)}"

    def _has_classes(self, classes: Sequence[str]) -> bool:
        return self.classes is not None and list(self.classes) == list(classes)

    def _head(self, network: nn.Module) -> dict[str, Tensor]:
        """The tensors of the head, by the network's names; empty where they do not fit."""
        given = _without_wrappers(self.tensors)
        found = {}
        for name, tensor in network.state_dict().items():
            if name.startswith("head."):
                if name not in given or given[name].shape != tensor.shape:
                    return {}
                found[name] = given[name]
        return found

    def _about_head(self, head: Mapping[str, Tensor], classes: Sequence[str]) -> str:
        if head:
            return "head loaded too"
        if self.origin:
            return f"head left out (the weights are of {self.origin.get('objective', 'no labels')})"
        if self.classes is None:
            return "head left out (the file does not name its classes)"
        if list(self.classes) != list(classes):
            return (
                f"head left out (its {len(self.classes)} classes are others, or in another order)"
            )
        return "head left out (it has another shape)"

    def _misfit(self, model: str, problem: str) -> UserError:
        return UserError(
            f"{self.path}: not the weights of --model {model}: {problem}; choose the model that "
            "they are of"
        )


def read_weights(path: Path) -> Weights:
    """Read a file of weights.

    Args:
        path: a safetensors file, a file of torch.save with tensors by name, alone or under
            "state_dict" or "model", a checkpoint of a run, or a run's folder.

    Raises:
        UserError: no such file, another kind of file, or one that would have to be unpickled.
    """
    path = _weights_file(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = load_tensors(path)
    is_checkpoint = isinstance(content, dict) and "learner" in content and "kind" in content
    if is_checkpoint:
        return Weights(path, _tensors(path, content["learner"]), _classes_beside(path, content))
    return Weights(path, _tensors(path, content))


def weights_digest(path: Path) -> str:
    """Digest the file of weights that `read_weights` reads.

    Raises:
        UserError: no such file.
    """
    return file_digest(_weights_file(path))


def _weights_file(path: Path) -> Path:
    """The file of weights that a path names, which may be a run's folder.

    Raises:
        UserError: no such file.
    """
    if path.is_dir():
        files = [path / name for name in (FILE, CHECKPOINT) if (path / name).is_file()]
        if not files:
            raise UserError(
                f"{path}: holds no weights; run it with --save-model, or give a file of weights"
            )
        path = files[0]
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights; give a .safetensors, .pt or .pth file")
    return path


def save_weights(path: Path, network: nn.Module, classes: Sequence[str], model: str) -> None:
    """Write a network's weights, with the names of its classes, for `read_weights`.

    Args:
        path: a .safetensors file.
        network: a `seit_cl.models.Network`.
        classes: names of the classes of its head's rows.
        model: its spec.
    """
    tensors = {}
    for name, tensor in network.state_dict().items():
        tensors[name] = tensor.detach().cpu().contiguous().clone()
    metadata = {"classes": json.dumps(list(classes)), "model": model}
    write_tensor_file(path, tensors, metadata)


def save_pretrained(
    path: Path, network: nn.Module, model: str, origin: Mapping[str, str | int | float]
) -> None:
    """Write a network's weights without its head, and how they were made, for `read_weights`.

    Args:
        path: a .safetensors file.
        network: a `seit_cl.models.Network`.
        model: its spec.
        origin: what they were trained on and how; "tokenizer_identity" is that of a token learner.
    """
    tensors = {}
    for name, tensor in network.state_dict().items():
        if not name.startswith("head."):
            tensors[name] = tensor.detach().cpu().contiguous().clone()
    metadata = {"classes": "null", "model": model, ORIGIN: json.dumps(dict(origin))}
    write_tensor_file(path, tensors, metadata)


def _read_safetensors(path: Path) -> Weights:
    try:
        file = read_tensor_file(path, AGAIN)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({type(error).__name__}); get it again"
        ) from error
    is_ours = "classes" in file.metadata and "model" in file.metadata
    if is_ours and not file.has_digest:
        note_no_digest(path)
    classes = _class_names(file.metadata.get("classes", "null"))
    origin = _origin(file.metadata.get(ORIGIN, "{}")) if is_ours else {}
    return Weights(path, file.tensors, classes, origin)


def _origin(text: str) -> dict[str, str | int | float]:
    """Read a JSON object of texts and numbers; empty for anything else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def _class_names(text: str) -> list[str] | None:
    """Read a JSON list of names; None for anything else."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else None


def _classes_beside(checkpoint: Path, state: Mapping[str, Any]) -> list[str] | None:
    """The classes of an unfinished run, from its environment.json; None where it has none.

    Raises:
        UserError: the file is not the one that the checkpoint was made with.
    """
    path = checkpoint.parent / "environment.json"
    try:
        data = path.read_bytes()
    except OSError:
        return None
    expected = state.get("files", {}).get(path.name)  # not in checkpoints of earlier versions
    if expected is not None and digest(data) != expected:
        raise damaged(path, f"restore it, or move {checkpoint} away from it")
    try:
        return _class_names(json.dumps(json.loads(data)["classes"]))
    except Exception:  # an earlier version may have been without
        return None


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """The tensors by name in what torch.load gave.

    Raises:
        UserError: it has none.
    """
    for name in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    tensors = {}
    if isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(value, Tensor):
                tensors[str(name)] = value.detach()
    if not tensors:
        raise UserError(
            f"{path}: holds no weights; give a file with tensors by name, or "
            "{'state_dict': such tensors}"
        )
    return tensors


def _without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by their names without prefixes that all of them have."""
    names = {name: tensor for name, tensor in tensors.items()}
    for prefix in WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def _of_grid(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Resample a ViT's position embedding (1, N, width) to the grid of another input size.

    Args:
        name: of the tensor.
        tensor: in the file.
        shape: in the network.

    Returns:
        The tensor as it is where it is none, has that shape, or belongs to another kind of grid.
    """
    if not name.endswith("pos_embed") or tensor.ndim != 3 or tensor.shape == shape:
        return tensor
    side = math.isqrt(shape[1])
    prefix = shape[1] - side**2  # positions of class tokens
    old = tensor.shape[1] - prefix
    if tensor.shape[2] != shape[2] or old < 1 or math.isqrt(old) ** 2 != old:
        return tensor
    return resample_abs_pos_embed(tensor.float(), [side, side], num_prefix_tokens=prefix)


def _plain(name: str) -> str:
    """A tensor's name in the network that was split, without the split's prefix."""
    return name.removeprefix("body.")


def _name_in(given: Mapping[str, Tensor], name: str) -> str | None:
    """Name under which a file has a network's tensor; None where it has none."""
    candidates = [name, _plain(name)]
    for theirs, ours in RENAMED:
        candidates.append(_plain(name).replace(ours, theirs))
    for candidate in candidates:
        if candidate in given:
            return candidate
    return None


def _head_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Prefixes of the names that a head's tensors may have in a file."""
    own = getattr(network, "head_name", "head")
    return tuple(f"{name}." for name in {*HEADS, own, "head_dist"})
