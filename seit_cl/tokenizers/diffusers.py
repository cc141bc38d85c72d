"""VQModel of the diffusers package, from a local folder or the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers._checkpoint import card_of, read_state_dict
from seit_cl.tokenizers._published import PublishedTokenizer, State, published
from seit_cl.tokenizers.base import TokenizerKind, check_identity
from seit_cl.tokenizers.nets.vqgan_codes import OneCode, nearest

NAME = "diffusers"
WEIGHTS = "diffusion_pytorch_model.safetensors"
CODEBOOK = "quantize.embedding.weight"
# Entries of the package's loading report, and the words for them.
PROBLEMS = {
    "missing_keys": "missing",
    "unexpected_keys": "left over",
    "mismatched_keys": "of another shape",
}


class VQModelAutoencoder(OneCode, nn.Module):
    """A diffusers VQModel with the methods of _published.Autoencoder.

    See huggingface.co/docs/diffusers/api/models/vq.

    Args:
        model: the VQModel.
    """

    CODES: tuple[str, ...] = (CODEBOOK,)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.stride = 2 ** (len(model.config.block_out_channels) - 1)

    @property
    def vectors(self) -> Tensor:
        """(K, D)."""
        return self.model.quantize.embedding.weight  # type: ignore[no-any-return]

    def check_grid(self, height: int, width: int) -> None:
        """Accept every grid: the model has convolutions, and attention without positions."""

    def latents(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) in [-1, 1] to latents (B, D, H, W)."""
        return self.model.quant_conv(self.model.encoder(images))  # type: ignore[no-any-return]

    def nearest(self, latents: Tensor) -> Tensor:
        """Find the codes (B, H, W) int64 of latents (B, D, H, W)."""
        return nearest(latents, self.vectors)

    def embed(self, indices: Tensor) -> Tensor:
        """Look up the vectors (B, D, H, W) of codes (B, H, W)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Decode vectors (B, D, H, W) to images (B, 3, S, S) around [-1, 1]."""
        spatial = embedded if self.model.config.norm_type == "spatial" else None
        return self.model.decoder(self.model.post_quant_conv(embedded), spatial)  # type: ignore[no-any-return]


def _import_vq_model() -> Any:
    """Import the class VQModel.

    Raises:
        UserError: the package is not installed or does not load.
    """
    try:
        from diffusers import VQModel
    except ImportError as error:
        problem = f"diffusers does not load ({error})"
        if error.name == "diffusers":
            problem = "the package diffusers is not installed"
        raise UserError(
            f"--tokenizer diffusers: {problem}; pip install 'seit_cl[diffusers]'"
        ) from error
    return VQModel


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Turn any exception of the package into a UserError of one line."""
    try:
        yield
    except Exception as error:  # of the hub, the network, JSON, shapes
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"diffusers:{source}: no readable VQModel: {lines[0].rstrip('.')}; give a folder with "
            f"config.json and {WEIGHTS}, or the name of such a model on the hub"
        ) from error


def _from_source(vq_model: Any, options: DiffusersOptions) -> PublishedTokenizer:
    """Load a model from a folder or the hub.

    Args:
        vq_model: the class VQModel.
        options: name the source.

    Raises:
        UserError: no readable VQModel, or weights that do not fit its configuration.
    """
    source = options.model
    is_folder = Path(source).is_dir()
    weights = Path(options.subfolder) / WEIGHTS
    if is_folder and not (Path(source) / weights).is_file():
        raise UserError(
            f"diffusers:{source}: has no {weights}; pickled weights are not read: save the model "
            "again with save_pretrained(FOLDER), or give subfolder=NAME"
        )
    location = {}
    if options.subfolder:
        location["subfolder"] = options.subfolder
    if options.revision:
        location["revision"] = options.revision
    with _readable(source):
        model, report = vq_model.from_pretrained(
            source,
            **location,
            use_safetensors=True,
            local_files_only=is_folder,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    _check_report(source, report)
    name = Path(source).name if is_folder else source
    if options.subfolder:
        name = f"{name}/{options.subfolder}"
    state = {key: tensor.detach().float() for key, tensor in model.state_dict().items()}
    config = dict(model.config)
    card = {"source": name, "config": json.dumps(config)}
    return published(NAME, source, state, partial(_fit, vq_model, config), card)


def _check_report(source: str, report: Mapping[str, Any]) -> None:
    """Refuse weights that do not fit the configuration.

    Raises:
        UserError: listing missing and left-over names and other shapes.
    """
    problems = []
    for key, words in PROBLEMS.items():
        if report.get(key):
            problems.append(f"{words} {', '.join(map(str, report[key]))}")
    if problems:
        raise UserError(
            f"diffusers:{source}: does not fit the VQModel of its config.json: "
            f"{'; '.join(problems)}"
        )


def _from_file(vq_model: Any, path: Path) -> PublishedTokenizer:
    """Load a file of `tokenize prune`: tensors, with the configuration in the card.

    Raises:
        UserError: an unreadable file, or one without a configuration.
    """
    file = read_state_dict(path)
    card = card_of(file.metadata)
    try:
        config = dict(json.loads(card["config"]))
    except Exception as error:  # parsers raise anything for a damaged file
        raise UserError(
            f"{path}: has no configuration of a VQModel; give the folder that holds config.json"
        ) from error
    tokenizer = published(NAME, str(path), file.tensors, partial(_fit, vq_model, config), card)
    check_identity(path, file.metadata, tokenizer.identity, file.has_digest)
    tokenizer.entropy_model = EntropyReader(tokenizer.identity, path)
    return tokenizer


def _fit(vq_model: Any, config: dict[str, Any], source: str, tensors: State) -> VQModelAutoencoder:
    """Make the model of a configuration, with as many codes as the tensors have."""
    with _readable(source):
        model = vq_model.from_config({**config, "num_vq_embeddings": len(tensors[CODEBOOK])})
        model.load_state_dict(tensors)
    return VQModelAutoencoder(model.eval().requires_grad_(False))


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


class DiffusersVQModel(TokenizerKind):
    """Open a VQModel of diffusers."""

    about = "VQModel of diffusers, from a folder or the hub; needs pip install 'seit_cl[diffusers]'"
    source = "Esser et al., CVPR 2021; von Platen et al., diffusers, 2022"
    Options = DiffusersOptions

    @classmethod
    def build(cls, options: DiffusersOptions, context: None = None) -> PublishedTokenizer:
        """Load the model.

        Raises:
            UserError: the package is not installed, or the source is not a readable VQModel.
        """
        vq_model = _import_vq_model()
        if Path(options.model).is_file():
            return _from_file(vq_model, Path(options.model))
        return _from_source(vq_model, options)


TOKENIZER = DiffusersVQModel
