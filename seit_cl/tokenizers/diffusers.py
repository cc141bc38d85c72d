"""VQModel of the diffusers package: a local folder or a model of the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument
from seit_cl.tokenizers._checkpoint import card_of, read_state_dict
from seit_cl.tokenizers._published import PublishedTokenizer, State, published
from seit_cl.tokenizers.base import TokenizerKind
from seit_cl.tokenizers.nets.vqgan import nearest

NAME = "diffusers"
WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class DiffusersOptions:
    """Options of the diffusers kind.

    Args:
        model: a folder, or a model's name on the hub.
        subfolder: folder inside it that holds the VQModel, e.g. vqvae.
        revision: of a model on the hub.
    """

    model: str = argument("FOLDER-OR-NAME")
    subfolder: str = ""
    revision: str = ""


class VQModelAutoencoder(nn.Module):
    """A diffusers VQModel (huggingface.co/docs/diffusers/api/models/vq) behind the contract of _published.Autoencoder."""

    CODES: tuple[str, ...] = ("quantize.embedding.weight",)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.stride = 2 ** (len(model.config.block_out_channels) - 1)

    @property
    def vectors(self) -> Tensor:
        """(K, D)."""
        return self.model.quantize.embedding.weight  # type: ignore[no-any-return]

    def check_grid(self, height: int, width: int) -> None:
        """Every grid will do: convolutions, and attention without positions."""

    def latents(self, images: Tensor) -> Tensor:
        """(B, D, H, W) of images (B, 3, S, S) in [-1, 1]."""
        return self.model.quant_conv(self.model.encoder(images))  # type: ignore[no-any-return]

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, H, W) int64 of latents (B, D, H, W)."""
        return nearest(latents, self.vectors)

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, H, W) of codes (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S) around [-1, 1] of code vectors (B, D, H, W)."""
        spatial = embedded if self.model.config.norm_type == "spatial" else None
        return self.model.decoder(self.model.post_quant_conv(embedded), spatial)  # type: ignore[no-any-return]


def _vq_model() -> Any:
    """The class VQModel.

    Raises:
        UserError: the package is not installed.
    """
    try:
        from diffusers import VQModel
    except ImportError as error:
        problem = (
            "the package diffusers is not installed"
            if error.name == "diffusers"
            else f"diffusers does not load ({error})"
        )
        raise UserError(
            f"--tokenizer diffusers: {problem}; pip install 'seit_cl[diffusers]'"
        ) from error
    return VQModel


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """What the package says about a source that it cannot read becomes one line."""
    try:
        yield
    except Exception as error:  # of the hub, the network, JSON, shapes
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"diffusers:{source}: no readable VQModel: {said}; give a folder with config.json and {WEIGHTS}, or the "
            "name of such a model on the hub"
        ) from error


def _open(options: DiffusersOptions) -> PublishedTokenizer:
    source = options.model
    kind = _vq_model()
    if Path(source).is_file():
        return _of_file(kind, Path(source))
    places = {"subfolder": options.subfolder, "revision": options.revision}
    places = {name: value for name, value in places.items() if value}
    local = Path(source).is_dir()
    if local and not (Path(source) / options.subfolder / WEIGHTS).is_file():
        raise UserError(
            f"diffusers:{source}: has no {Path(options.subfolder) / WEIGHTS}; pickled weights are not read: save the "
            "model again with save_pretrained(FOLDER), or say subfolder=NAME"
        )
    with _readable(source):
        model, told = kind.from_pretrained(
            source,
            **places,
            use_safetensors=True,
            local_files_only=local,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    problems = [
        f"{words} {', '.join(map(str, told[key]))}"
        for key, words in (
            ("missing_keys", "missing"),
            ("unexpected_keys", "left over"),
            ("mismatched_keys", "of another shape"),
        )
        if told.get(key)
    ]
    if problems:
        raise UserError(
            f"diffusers:{source}: does not fit the VQModel of its config.json: {'; '.join(problems)}"
        )
    name = "/".join(filter(None, (Path(source).name if local else source, options.subfolder)))
    state = {name: tensor.detach().float() for name, tensor in model.state_dict().items()}
    config = dict(model.config)
    return published(
        NAME,
        source,
        state,
        partial(_fit, kind, config),
        {"source": name, "config": json.dumps(config)},
    )


def _of_file(kind: Any, path: Path) -> PublishedTokenizer:
    """What `tokenize prune` wrote: tensors, with the configuration in the card."""
    state, metadata = read_state_dict(path)
    card = card_of(metadata)
    try:
        config = dict(json.loads(card["config"]))
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: has no configuration of a VQModel; give the folder that holds config.json"
        ) from error
    return published(NAME, str(path), state, partial(_fit, kind, config), card)


def _fit(kind: Any, config: dict[str, Any], where: str, tensors: State) -> VQModelAutoencoder:
    with _readable(where):
        made = kind.from_config(
            {**config, "num_vq_embeddings": len(tensors["quantize.embedding.weight"])}
        )
        made.load_state_dict(tensors)
    return VQModelAutoencoder(made.eval().requires_grad_(False))


class DiffusersVQModel(TokenizerKind):
    """Open a VQModel of diffusers."""

    about = "VQModel of diffusers, from a folder or the hub; needs pip install 'seit_cl[diffusers]'"
    source = "Esser et al., CVPR 2021; von Platen et al., diffusers, 2022"
    Options = DiffusersOptions

    @classmethod
    def build(cls, options: DiffusersOptions, context: None = None) -> PublishedTokenizer:
        """Load the model."""
        return _open(options)


TOKENIZER = DiffusersVQModel
