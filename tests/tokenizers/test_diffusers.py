"""The diffusers kind: VQModel folders through the package, and the error where it is missing."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tokenizer_samples import images, vq_model
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._published import PublishedTokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A VQModel of stride 4 as diffusers saves it, in a subfolder."""
    package = pytest.importorskip("diffusers", reason="needs the package diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        package.VQModel(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(32, 32, 64),
            latent_channels=4,
            num_vq_embeddings=30,
            vq_embed_dim=5,
            layers_per_block=1,
        ).save_pretrained(tmp_path / "model" / "vqvae")
    return tmp_path / "model"


def test_without_the_package_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(
        UserError, match=r"diffusers.*pip install 'seit_cl\[diffusers\]'"
    ) as refused:
        open_tokenizer("diffusers:anything")
    assert len(str(refused.value).splitlines()) == 1


def test_codes_and_images_are_those_of_the_package(folder: Path) -> None:
    package = pytest.importorskip("diffusers")
    theirs: Any = package.VQModel.from_pretrained(folder, subfolder="vqvae").eval()
    ours = open_tokenizer(f"diffusers:{folder},subfolder=vqvae")
    batch = images(2, 40)
    assert (ours.stride, ours.codebook.shape, ours.card["source"]) == (4, (1, 30, 5), "model/vqvae")
    with torch.no_grad():
        latents = theirs.encode(batch.float() / 127.5 - 1).latents
        codes = theirs.quantize(latents)[2][2].view(2, 1, 10, 10)
        restored = (theirs.decode(latents).sample.clamp(-1, 1) + 1) * 127.5
    tokens = ours.encode(batch)
    assert torch.equal(tokens.long(), codes)
    assert (restored - ours.decode(tokens)).abs().max() <= 0.51  # rounding


def test_a_pruned_model_is_a_file_that_opens_by_its_path(tmp_path: Path) -> None:
    whole = vq_model()
    batch = images(2, 32)
    assert isinstance(whole, PublishedTokenizer)
    tokens = whole.encode(batch)
    whole.pruned(torch.bincount(tokens.flatten().long(), minlength=40)).save(
        tmp_path / "x.safetensors"
    )
    left = open_tokenizer(str(tmp_path / "x.safetensors"))
    assert isinstance(left, PublishedTokenizer)
    assert left.identity != whole.identity
    assert torch.equal(left.state["pruned.codes"][left.encode(batch).long()], tokens.long())
    assert torch.equal(left.decode(left.encode(batch)), whole.decode(tokens))


def test_what_is_no_vq_model_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "vqvae" / "config.json").read_text())
    for name, change in (
        ("other", {"block_out_channels": [32, 32, 32]}),
        ("deeper", {"layers_per_block": 2}),
    ):
        made = tmp_path / name
        made.mkdir()
        (made / "config.json").write_text(json.dumps({**config, **change}))
        (made / "diffusion_pytorch_model.safetensors").write_bytes(
            (folder / "vqvae" / "diffusion_pytorch_model.safetensors").read_bytes()
        )
    for source, words in (
        ("other", "other"),
        ("deeper", "missing"),
        ("model", "pickled weights are not read"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            open_tokenizer(f"diffusers:{tmp_path / source}")
        assert len(str(refused.value).splitlines()) == 1
