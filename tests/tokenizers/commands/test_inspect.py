"""`tokenize inspect`: token files, releases, tokenizers and checkpoints; errors in one line."""

from collections.abc import Callable
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
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.inspect import inspect_command
from seit_cl.tokenizers.commands.options import Encode, Inspect


@pytest.fixture(scope="module")
def tokens(fractals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "fractals.safetensors"
    encode_command(Encode(fractals, path, workers=1))
    return path


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The output of the command for a file, folder or spec."""

    def run(what: object, **options: object) -> str:
        inspect_command(Inspect(str(what), **options))  # type: ignore[arg-type]
        return capsys.readouterr().out

    return run


def test_a_token_file(inspect: Callable[..., str], tokens: Path, tmp_path: Path) -> None:
    printed = inspect(tokens, picture=tmp_path / "x.png")
    file = open_token_file(tokens)
    counts = Counts(1024)
    counts.add(file.tokens["train"].whole())
    assert "token file of fractals, 5 classes" in printed
    assert file.identity in printed
    assert bundled().identity in printed
    assert "train: 80 images of 1 x 8 x 8 tokens, 80 bytes of 10 bits each" in printed
    assert f"{counts.used} of 1024 codes in use, {counts.entropy:.2f} bits per token" in printed
    assert counts.used == len(file.tokens["train"].whole().unique())
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 4 * picture.height


def test_a_damaged_token_file_is_described_and_refused(
    inspect: Callable[..., str], tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(tokens.read_bytes())
    data[-1:] = bytes([data[-1] ^ 1])
    (tmp_path / "x.safetensors").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"x\.safetensors: .*damaged"):
        inspect(tmp_path / "x.safetensors")
    assert "token file of fractals" in capsys.readouterr().out


def test_a_release_and_what_becomes_of_it(inspect: Callable[..., str], tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    printed = inspect(tmp_path / "release")
    assert "SeiT release tiny, 391 codes of 8 dimensions, 5 synonyms each" in printed
    assert "import-seit" in printed
    assert "train: 12 images of 1 x 4 x 4 tokens, 18 bytes of 9 bits each" in printed
    release = read_release(tmp_path / "release")
    write_token_file(tmp_path / "x.safetensors", release.metadata, release.grid, release.splits)
    assert "release: 'tiny'" in inspect(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="does not decode to images"):
        inspect(tmp_path / "x.safetensors", picture=tmp_path / "x.png")


def test_a_tokenizer_by_name_by_file_or_by_option(
    inspect: Callable[..., str], tmp_path: Path, fractals: Path
) -> None:
    untrained().save(tmp_path / "own.safetensors")
    assert f"identity: {bundled().identity}" in inspect("")
    assert inspect("bundled").startswith("bundled: 1024 codes")
    options = {"images": fractals / "val", "picture": tmp_path / "x.png"}
    printed = inspect(tmp_path / "own.safetensors", **options)
    assert "50 codes of 8 dimensions" in printed
    assert "measured on 30 images at 64 px: PSNR" in printed
    assert "an image of 64 px: 1 x 8 x 8 tokens, 48 bytes of 6 bits each" in printed
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.format == "PNG"


def test_a_checkpoint_is_told_by_its_keys(inspect: Callable[..., str], tmp_path: Path) -> None:
    names = [
        "encoder.transformer.layers.0.0.norm.weight",
        "decoder.transformer.norm.weight",
        "quantizer.embedding.weight",
    ]
    torch.save({"state_dict": {name: torch.zeros(3, 4) for name in names}}, tmp_path / "a.ckpt")
    printed = inspect(tmp_path / "a.ckpt")
    assert "3 tensors, 36 numbers: ViT-VQGAN" in printed
    assert "quantizer.embedding.weight (3, 4)" in printed
    torch.save(torch.zeros(391, 32), tmp_path / "b.ckpt")
    assert "codebook of 391 codes of 32 dimensions" in inspect(tmp_path / "b.ckpt")
    torch.save({f"layer{i}": torch.zeros(2) for i in range(12)}, tmp_path / "c.pt")
    printed = inspect(tmp_path / "c.pt")
    assert "of an unknown kind" in printed
    assert "and 4 more" in printed


def test_the_models_of_checkpoints_are_told_apart() -> None:
    vqgan = ["encoder.down.0.block", "decoder.up.0", "quantize.embedding.weight"]
    vq_model = ["encoder.down_blocks.0", "decoder.up_blocks.0", "quantize.embedding.weight"]
    assert model_of(vqgan).startswith("VQGAN")
    assert model_of(vq_model).startswith("VQModel")
    assert model_of(["encoder.down.0.block"]) == ""
    assert model_of([]) == ""


def test_what_cannot_be_read_is_one_line(
    inspect: Callable[..., str], tmp_path: Path, tokens: Path
) -> None:
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
            inspect(what, **options)
        assert "\n" not in str(refused.value)
