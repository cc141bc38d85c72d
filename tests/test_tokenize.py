"""`python -m seit_cl.tokenize`: train, inspect and show; bad input is refused in one line."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.tokenize_command import TokenizeHere, command_line, flattened, run_tokenize
from helpers.tokenizer_samples import bundled, images
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._quality import quality
from seit_cl.tokenizers._vqae_tokenizer import load_tokenizer
from seit_cl.tokenizers.training.images import find_images

SMALL = flattened(
    {
        "--resolution": 32,
        "--crop": 16,
        "--fractals": 4,
        "--codes": 16,
        "--width": 8,
        "--depth": 0,
        "--batch": 4,
    }
)
SMALL_VIT = flattened(
    {
        "--architecture": "vit-vqgan",
        "--resolution": 32,
        "--crop": 32,
        "--patch": 16,
        "--fractals": 4,
        "--codes": 17,
        "--width": 64,
        "--depth": 1,
        "--batch": 4,
        "--minutes": 0.02,
    }
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of 2 classes, 4 train and 2 val images each, at 32 px."""
    return write_fractals(tmp_path_factory.mktemp("data") / "tiny", 2, 4, 2, 32)


@pytest.mark.slow
def test_train_writes_a_file_that_loads_with_its_card(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "tiny.safetensors"
    printed = run_tokenize("train", "--data-root", root, "--out", out, "--minutes", 0.03, *SMALL)
    tokenizer = load_tokenizer(out)
    assert tokenizer.codebook.shape == (1, 16, 32)
    assert {"data", "command", "machine", "date", "figures"} <= set(tokenizer.card)
    assert "8 images of tiny/train, 4 fractals" in tokenizer.card["data"]
    assert "PSNR" in printed
    assert "on the same 4 val images at 32 px:" in printed
    assert re.search(r"this tokenizer: 8 bytes an image, PSNR \d", printed)
    assert re.search(r"bundled: 20 bytes an image, PSNR \d", printed)
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > picture.height  # four columns, two rows


@pytest.mark.slow
def test_photos_are_trained_on_in_tiles_and_named_on_the_card(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    options = ["--photos", root / "val", "--minutes", 0.03, "--note", "free to use"]
    run_tokenize("train", "--data-root", root, "--out", out, *options, *SMALL)
    card = load_tokenizer(out).card
    # 4 photos in tiles of a half and of a quarter of their side
    assert card["data"] == "8 images of tiny/train, 80 tiles of 4 images of val, 4 fractals"
    assert "--photos DIR" in card["command"]
    assert str(root) not in card["command"]
    assert card["note"] == "free to use"
    assert "hours" in card["training"]
    assert "20 fractals" in card["check"]


@pytest.mark.slow
def test_levels_are_added_to_the_bundled_tokenizer_whose_first_codes_stay(
    root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    out = tmp_path / "levels.safetensors"
    words = ["train", "--data-root", root, "--minutes", 0.05, *SMALL]
    ended = tokenize(*words, "--out", out, "--levels", 3, "--start", "bundled")
    assert ended.code == 0, ended.err
    trained = load_tokenizer(out)
    batch = images(4, 64)
    tokens = trained.encode(batch)
    assert tokens.shape == (4, 3, 8, 8)
    assert torch.equal(tokens[:, :1], bundled().encode(batch))
    assert "1 / 2 / 3 levels" in trained.card["figures"]
    assert bundled().identity in trained.card["start"]
    assert "--start bundled" in trained.card["command"]
    assert "--levels 3" in trained.card["command"]


@pytest.mark.slow
def test_levels_are_trained_from_scratch_without_a_start(
    root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    out = tmp_path / "levels.safetensors"
    options = ["--minutes", 0.05, *SMALL, "--levels", 2]
    ended = tokenize("train", "--data-root", root, "--out", out, *options)
    assert ended.code == 0, ended.err
    assert load_tokenizer(out).codebook.shape == (2, 16, 32)


@pytest.mark.slow
def test_an_interrupted_training_resumes_from_its_checkpoint(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    checkpoint = tmp_path / "x.safetensors.training"
    words = ["train", "--data-root", root, "--out", out, "--minutes", 0.1, *SMALL]
    process = subprocess.Popen(
        command_line(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Children of a shell's background job ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("step 0"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes from" in printed.replace("\n", " ")
    assert checkpoint.exists()
    assert not out.exists()
    run_tokenize(*words)
    assert load_tokenizer(out).card["training"]
    assert not checkpoint.exists()


def test_a_training_on_features_uses_no_label(
    root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    one_class = tmp_path / "unlabelled"
    for part in ("train", "val"):
        (one_class / part / "all").mkdir(parents=True)
        for number, file in enumerate(sorted((root / part).glob("*/*"))):
            (one_class / part / "all" / f"{number:02d}{file.suffix}").symlink_to(file)
    weights = []
    for number, data in enumerate((root, one_class)):
        out = tmp_path / f"{number}.safetensors"
        options = {"--targets": "features", "--teacher-steps": 2, "--steps": 3}
        ended = tokenize("train", "--data-root", data, "--out", out, *flattened(options), *SMALL)
        assert ended.code == 0, ended.err
        assert not list(tmp_path.glob("*.teacher"))
        tokenizer = load_tokenizer(out)
        assert tokenizer.card["training"].startswith("3 steps")
        assert "--targets features --teacher-steps 2" in tokenizer.card["command"]
        weights.append(tokenizer.identity)
    assert weights[0] == weights[1]


def test_a_vit_vqgan_is_trained_into_a_file_that_opens_by_its_path(
    root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    out = tmp_path / "vit.safetensors"
    ended = tokenize("train", "--data-root", root, "--out", out, *SMALL_VIT)
    assert ended.code == 0, ended.err
    tokenizer = open_tokenizer(str(out))
    assert (tokenizer.stride, tokenizer.codebook.shape) == (16, (1, 17, 32))
    assert "--architecture vit-vqgan" in tokenizer.card["command"]
    assert "PSNR" in tokenizer.card["figures"]


def test_inspect_prints_identity_and_card(tokenize: TokenizeHere) -> None:
    ended = tokenize("inspect")
    assert ended.code == 0
    assert f"identity: {bundled().identity}" in ended.out
    assert "1024 codes of 32 dimensions" in ended.out
    for key, value in bundled().card.items():
        assert f"{key}: {value}" in ended.out


def test_inspect_measures_a_tokenizer_on_a_folder_of_images(
    root: Path, tokenize: TokenizeHere
) -> None:
    ended = tokenize("inspect", "--images", root / "val", "--resolution", 32)
    measured = quality(bundled(), load_images(find_images(root / "val", "--images"), 32))
    line = f"measured on 4 images at 32 px: PSNR {measured.psnr:.2f} dB, {measured.used} of 1024"
    assert ended.code == 0
    assert line in ended.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "absent"], "--images absent: no images"),
        (["--resolution", "60"], "--resolution 60"),
        (["--tokenizer", "memory.bin"], "memory.bin"),
        (["--tokenizer", "absent.safetensors"], "absent.safetensors"),
    ],
)
def test_inspect_refuses_bad_input_in_one_line(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenize: TokenizeHere,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("memory.bin").write_bytes(b"SEITMEM")
    ended = tokenize("inspect", *options)
    assert ended.is_one_line_error
    assert words in ended.err


def test_show_draws_fractals_and_image_files(
    root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    out = tmp_path / "shown.png"
    file = find_images(root / "val", "--images")[0]
    options = ["--images", file, "--sides", 32, 64, "--fractals", 2]
    ended = tokenize("show", *options, "--out", out)
    assert ended.code == 0
    assert str(out) in ended.out
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height  # four columns, two rows


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--fractals", "0"], "--fractals 0"),
        (["--images", "absent.png"], "absent.png"),
        (["--tokenizer", "absent.safetensors"], "absent.safetensors"),
        (["--images", "FILE", "--sides", "60"], "--sides 60"),
        (["--out", "absent/x.png"], "--out absent/x.png"),
    ],
)
def test_show_refuses_bad_input_in_one_line(
    changes: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenize: TokenizeHere,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("FILE", "PNG")
    ended = tokenize("show", *changes)
    assert ended.is_one_line_error
    assert words in ended.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--data-root", "no/such/folder"], "no/such/folder: no such folder"),
        (["--minutes", "0"], "--minutes 0"),
        (["--minutes", "nan"], "--minutes nan"),
        (["--resolution", "60"], "--resolution 60"),
        (["--codes", "40000"], "--codes 40000"),
        (["--levels", "0"], "--levels 0"),
        (["--start", "timm:test_vit,pretrained=no,images=20,km=16"], "--start timm:test_vit"),
        (["--start", "absent.safetensors"], "absent.safetensors"),
        (["--batch", "1"], "--batch 1"),
        (["--codes", "15"], "--codes 15: must be even"),
        (["--width", "10"], "--width 10"),
        (["--patch", "16"], "--patch 16: must be 4 to 32, and 8 with --architecture bundled"),
        (["--crop", "72"], "--crop 72"),
        (["--crop", "20"], "--crop 20"),
        (["--photos", "."], "--photos .: no images there"),
        (["--supervision", "-1"], "--supervision -1"),
        (["--steps", "-1"], "--steps -1"),
        (["--teacher-steps", "-1"], "--teacher-steps -1"),
        (["--learning-rate", "-1"], "--learning-rate -1"),
        (["--out", "."], "--out .: is a folder"),
        (["--out", "FILE/x.safetensors"], "--out FILE/x.safetensors: cannot be written"),
    ],
)
def test_train_refuses_bad_input_in_one_line_before_any_training(
    changes: list[str],
    words: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenize: TokenizeHere,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("not a folder")
    option, value = changes
    options = {"--data-root": root, "--out": "x.safetensors", "--minutes": 60} | {option: value}
    ended = tokenize("train", *flattened(options))
    assert ended.is_one_line_error
    assert words in ended.err
    assert not Path("x.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--width", "96"], "--width 96: must be a multiple of 64"),
        (["--depth", "0"], "--depth 0: must be 1 or more"),
        (["--patch", "12"], "--resolution 64: must be a multiple of 12"),
        (["--patch", "64"], "--patch 64"),
        (["--crop", "40", "--patch", "16"], "--crop 40: must be a multiple of 16"),
        (
            ["--crop", "16", "--patch", "16"],
            "--crop 16: must be a multiple of 16 from 32 to --resolution",
        ),
    ],
)
def test_train_refuses_what_no_vit_vqgan_can_have(
    changes: list[str], words: str, root: Path, tmp_path: Path, tokenize: TokenizeHere
) -> None:
    options = {
        "--architecture": "vit-vqgan",
        "--data-root": root,
        "--out": tmp_path / "x.safetensors",
    }
    ended = tokenize("train", *flattened(options), *changes)
    assert ended.is_one_line_error
    assert words in ended.err
