"""`python -m seit_cl.tokenize`: train a tokenizer, look into its file, and one line for bad input."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.tokenizer_samples import bundled, images
from seit_cl.core.cli import run_command
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.tokenize import main
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._quality import quality
from seit_cl.tokenizers.bundled import load_tokenizer
from seit_cl.tokenizers.training.images import find_images

SMALL = [
    "--resolution",
    "32",
    "--crop",
    "16",
    "--fractals",
    "4",
    "--codes",
    "16",
    "--width",
    "8",
    "--depth",
    "0",
    "--batch",
    "4",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fractals(tmp_path_factory.mktemp("data") / "tiny", 2, 4, 2, 32)


class Ended:
    """How the command ended in this process: exit code and output."""

    def __init__(
        self,
        arguments: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["tokenize", *arguments])
        self.code: object = 0
        try:
            run_command(main)
        except SystemExit as end:
            self.code = end.code
        self.out, self.err = capsys.readouterr()


@pytest.mark.slow
def test_train_writes_a_file_that_loads_with_its_card(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "tiny.safetensors"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "seit_cl.tokenize",
            "train",
            "--data-root",
            str(root),
            "--out",
            str(out),
            "--minutes",
            "0.03",
            *SMALL,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tokenizer = load_tokenizer(out)
    assert tokenizer.codebook.shape == (1, 16, 32)
    assert {"data", "command", "machine", "date", "figures"} <= set(tokenizer.card)
    assert "8 images of tiny/train, 4 fractals" in tokenizer.card["data"] and "PSNR" in done.stdout
    with Image.open(out.with_suffix(".png")) as picture:
        assert (
            picture.width > picture.height
        )  # images of val side by side, above what came back of them


@pytest.mark.slow
def test_photos_are_trained_on_in_tiles_and_named_on_the_card(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "seit_cl.tokenize",
            "train",
            "--data-root",
            str(root),
            "--out",
            str(out),
            "--photos",
            str(root / "val"),
            "--minutes",
            "0.03",
            "--note",
            "free to use",
            *SMALL,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    card = load_tokenizer(out).card  # 4 photos in tiles of a half and of a quarter of their side
    assert card["data"] == "8 images of tiny/train, 80 tiles of 4 images of val, 4 fractals"
    assert "--photos DIR" in card["command"] and str(root) not in card["command"]
    assert (
        card["note"] == "free to use"
        and "hours" in card["training"]
        and "20 fractals" in card["check"]
    )


@pytest.mark.slow
def test_levels_are_added_to_the_bundled_tokenizer_whose_first_codes_stay(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "levels.safetensors"
    words = ["train", "--data-root", str(root), "--minutes", "0.05", *SMALL]
    ended = Ended(
        [*words, "--out", str(out), "--levels", "3", "--start", "bundled"], monkeypatch, capsys
    )
    assert ended.code == 0, ended.err
    made, batch = load_tokenizer(out), images(4, 64)
    tokens = made.encode(batch)
    assert tokens.shape == (4, 3, 8, 8) and torch.equal(tokens[:, :1], bundled().encode(batch))
    assert "1 / 2 / 3 levels" in made.card["figures"] and bundled().identity in made.card["start"]
    assert "--start bundled" in made.card["command"] and "--levels 3" in made.card["command"]
    again = (
        tmp_path / "again.safetensors"
    )  # levels from the beginning, by the same command without a start
    ended = Ended([*words, "--out", str(again), "--levels", "2"], monkeypatch, capsys)
    assert ended.code == 0 and load_tokenizer(again).codebook.shape == (2, 16, 32)


@pytest.mark.slow
def test_an_interrupted_training_keeps_a_checkpoint_and_goes_on_from_it(
    root: Path, tmp_path: Path
) -> None:
    out, checkpoint = tmp_path / "x.safetensors", tmp_path / "x.safetensors.training"
    command = [
        sys.executable,
        "-m",
        "seit_cl.tokenize",
        "train",
        "--data-root",
        str(root),
        "--out",
        str(out),
        "--minutes",
        "0.1",
        *SMALL,
    ]
    # Where this runs in a shell's background, children ignore SIGINT.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("step 0"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command resumes from" in said.replace("\n", " ")
    assert checkpoint.exists() and not out.exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert load_tokenizer(out).card["training"] and not checkpoint.exists()


def test_inspect_prints_identity_and_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Ended(["inspect"], monkeypatch, capsys)
    assert ended.code == 0 and f"identity: {bundled().identity}" in ended.out
    assert "1024 codes of 32 dimensions" in ended.out
    assert all(f"{key}: {value}" in ended.out for key, value in bundled().card.items())


def test_inspect_measures_the_images_that_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Ended(
        ["inspect", "--images", str(root / "val"), "--resolution", "32"], monkeypatch, capsys
    )
    found = quality(bundled(), load_images(find_images(root / "val", "--images"), 32))
    assert (
        ended.code == 0
        and f"measured on 4 images at 32 px: PSNR {found.psnr:.2f} dB, {found.used} of 1024"
        in ended.out
    )
    for wrong, words in (
        (["--images", "absent"], "--images absent: no images"),
        (["--resolution", "60"], "--resolution 60"),
    ):
        ended = Ended(["inspect", *wrong], monkeypatch, capsys)
        assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1


def test_show_draws_fractals_and_the_images_that_are_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "shown.png", find_images(root / "val", "--images")[0]
    ended = Ended(
        [
            "show",
            "--images",
            str(file),
            "--sides",
            "32",
            "64",
            "--fractals",
            "2",
            "--out",
            str(out),
        ],
        monkeypatch,
        capsys,
    )
    assert ended.code == 0 and str(out) in ended.out
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > picture.height  # four columns, two rows


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
def test_what_cannot_be_shown_is_one_line(
    changes: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("FILE", "PNG")
    ended = Ended(["show", *changes], monkeypatch, capsys)
    assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1


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
        (["--learning-rate", "-1"], "--learning-rate -1"),
        (["--out", "."], "--out .: is a folder"),
        (["--out", "FILE/x.safetensors"], "--out FILE/x.safetensors: cannot be written"),
    ],
)
def test_bad_input_is_one_line_before_any_training(
    changes: list[str],
    words: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("not a folder")
    options = {"--data-root": str(root), "--out": "x.safetensors", "--minutes": "60"} | {
        changes[0]: changes[1]
    }
    ended = Ended(
        ["train", *(word for pair in options.items() for word in pair)], monkeypatch, capsys
    )
    assert ended.code == 2 and words in ended.err
    assert len(ended.err.splitlines()) == 1 and not Path("x.safetensors").exists()


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
def test_what_no_vit_vqgan_can_have_is_one_line(
    changes: list[str],
    words: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "--architecture",
        "vit-vqgan",
        "--data-root",
        str(root),
        "--out",
        str(tmp_path / "x.safetensors"),
        *changes,
    ]
    ended = Ended(["train", *arguments], monkeypatch, capsys)
    assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1


def test_a_vit_vqgan_is_trained_into_a_file_that_opens_by_its_path(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "vit.safetensors"
    small = [
        "--architecture",
        "vit-vqgan",
        "--width",
        "64",
        "--depth",
        "1",
        "--patch",
        "16",
        "--codes",
        "17",
        "--minutes",
        "0.02",
        "--fractals",
        "4",
        "--resolution",
        "32",
        "--crop",
        "32",
        "--batch",
        "4",
    ]
    ended = Ended(
        ["train", "--data-root", str(root), "--out", str(out), *small], monkeypatch, capsys
    )
    assert ended.code == 0, ended.err
    tokenizer = open_tokenizer(str(out))
    assert (tokenizer.stride, tokenizer.codebook.shape) == (16, (1, 17, 32))
    assert (
        "--architecture vit-vqgan" in tokenizer.card["command"]
        and "PSNR" in tokenizer.card["figures"]
    )


def test_inspecting_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "memory.bin").write_bytes(b"SEITMEM")
    for path in (tmp_path / "memory.bin", tmp_path / "absent.safetensors"):
        ended = Ended(["inspect", "--tokenizer", str(path)], monkeypatch, capsys)
        assert ended.code == 2 and path.name in ended.err and len(ended.err.splitlines()) == 1
