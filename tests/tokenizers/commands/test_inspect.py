"""`tokenize inspect` says what a thing is, whatever it is, and what it cannot read it names in one line."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.release_files import write_release
from helpers.tokenizer_samples import bundled, untrained
from seit_cl.core.errors import UserError
from seit_cl.data.seit.release import read_release
from seit_cl.data.token_file import open_token_file, write_token_file
from seit_cl.tokenizers._checkpoint import model_of
from seit_cl.tokenizers._quality import Counts
from seit_cl.tokenizers.commands.encode import Encode, encode_command
from seit_cl.tokenizers.commands.inspect import Inspect, inspect_command


@pytest.fixture(scope="module")
def tokens(fractals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "fractals.safetensors"
    encode_command(Encode(fractals, path, workers=1))
    return path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def inspect(what: object, **options: object) -> str:
        inspect_command(Inspect(str(what), **options))  # type: ignore[arg-type]
        return capsys.readouterr().out

    return inspect


def test_a_token_file(said, tokens: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words, file = said(tokens, picture=tmp_path / "x.png"), open_token_file(tokens)
    counts = Counts(1024)
    counts.add(file.tokens["train"])
    assert (
        "token file of fractals, 5 classes" in words
        and file.identity in words
        and bundled().identity in words
    )
    assert (
        "train: 80 images of 1 x 8 x 8 tokens, 80 bytes of 10 bits each" in words
        and "DAMAGED" not in words
    )
    assert f"{counts.used} of 1024 codes in use, {counts.entropy:.2f} bits per token" in words
    assert counts.used == len(file.tokens["train"].unique())
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 4 * picture.height


def test_a_damaged_token_file_is_called_so(said, tokens: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(tokens.read_bytes())
    data[-1:] = bytes([data[-1] ^ 1])
    (tmp_path / "x.safetensors").write_bytes(bytes(data))
    assert "DAMAGED" in said(tmp_path / "x.safetensors")


def test_a_release_and_what_becomes_of_it(said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_release(tmp_path / "release")
    words = said(tmp_path / "release")
    assert (
        "SeiT release tiny, 391 codes of 8 dimensions, 5 synonyms each" in words
        and "import-seit" in words
    )
    assert "train: 12 images of 1 x 4 x 4 tokens, 18 bytes of 9 bits each" in words
    release = read_release(tmp_path / "release")
    write_token_file(tmp_path / "x.safetensors", release.metadata, release.grid, release.splits)
    assert "release: 'tiny'" in said(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="does not decode to images"):
        said(tmp_path / "x.safetensors", picture=tmp_path / "x.png")


def test_a_tokenizer_by_name_by_file_or_by_option(said, tmp_path: Path, fractals: Path) -> None:  # type: ignore[no-untyped-def]
    untrained().save(tmp_path / "own.safetensors")
    assert f"identity: {bundled().identity}" in said("") and said("bundled").startswith(
        "bundled: 1024 codes"
    )
    words = said(tmp_path / "own.safetensors", images=fractals / "val", picture=tmp_path / "x.png")
    assert "50 codes of 8 dimensions" in words and "measured on 30 images at 64 px: PSNR" in words
    assert "an image of 64 px: 1 x 8 x 8 tokens, 48 bytes of 6 bits each" in words
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.format == "PNG"


def test_a_checkpoint_is_told_by_its_keys(said, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = [
        "encoder.transformer.layers.0.0.norm.weight",
        "decoder.transformer.norm.weight",
        "quantizer.embedding.weight",
    ]
    torch.save({"state_dict": {name: torch.zeros(3, 4) for name in names}}, tmp_path / "a.ckpt")
    words = said(tmp_path / "a.ckpt")
    assert (
        "3 tensors, 36 numbers: ViT-VQGAN" in words and "quantizer.embedding.weight (3, 4)" in words
    )
    torch.save(torch.zeros(391, 32), tmp_path / "b.ckpt")
    assert "codebook of 391 codes of 32 dimensions" in said(tmp_path / "b.ckpt")
    torch.save({f"layer{i}": torch.zeros(2) for i in range(12)}, tmp_path / "c.pt")
    assert "of an unknown kind" in said(tmp_path / "c.pt") and "and 4 more" in said(
        tmp_path / "c.pt"
    )


def test_the_kinds_of_checkpoints_are_told_apart() -> None:
    assert model_of(
        ["encoder.down.0.block", "decoder.up.0", "quantize.embedding.weight"]
    ).startswith("VQGAN")
    assert model_of(
        ["encoder.down_blocks.0", "decoder.up_blocks.0", "quantize.embedding.weight"]
    ).startswith("VQModel")
    assert model_of(["encoder.down.0.block"]) == model_of([]) == ""


def test_what_cannot_be_read_is_one_line(said, tmp_path: Path, tokens: Path) -> None:  # type: ignore[no-untyped-def]
    torch.save(torch.nn.Linear(2, 2), tmp_path / "tokenizer.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    untrained().save(tmp_path / "own.safetensors")
    cases = [
        (tmp_path / "tokenizer.ckpt", {}, "pickled object"),
        (tmp_path / "text.ckpt", {}, "no checkpoint of torch.save"),
        (tmp_path / "absent.pt", {}, "no such file"),
        ("strange", {}, "strange"),
        ("", {"images": tmp_path / "no"}, "no images"),
        ("", {"picture": tmp_path / "no" / "x.png"}, "--picture"),
        ("", {"resolution": 60}, "--resolution 60"),
        (
            tokens,
            {"tokenizer": str(tmp_path / "own.safetensors"), "picture": tmp_path / "x.png"},
            "was made by",
        ),
    ]
    for what, options, words in cases:
        with pytest.raises(UserError, match=words) as refused:
            said(what, **options)
        assert "\n" not in str(refused.value)
