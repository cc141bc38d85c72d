"""Image folders as people have them: kinds of files, folders below a class, names of splits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.core.notes import LOGGER
from seit_cl.data.images import load_images
from seit_cl.data.listing import SUFFIXES
from seit_cl.datasets import list_data
from seit_cl.tokenizers.training.images import find_images


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((40, 32), 60).convert("RGB").save(path)
    return path


def put_classes(folder: Path, count: int = 5) -> Path:
    for name in ("cat", "dog"):
        for i in range(count):
            put(folder / name / f"{i}.jpg")
    return folder


def notes(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name == LOGGER.name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_is_taken_and_decoded(tmp_path: Path, suffix: str) -> None:
    put_classes(tmp_path)
    upper = Image.effect_noise((40, 32), 60).convert("RGB")
    kind = {".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM"}.get(suffix)
    upper.save(tmp_path / f"cat/other{suffix.upper()}", kind)
    data = list_data(tmp_path)
    images = [*data.train.images, *data.val.images]
    assert sum(image.name == f"cat/other{suffix.upper()}" for image in images) == 1
    assert load_images(images, 32).shape == (11, 3, 32, 32)


def test_the_image_of_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    pixels = load_images([tmp_path / "a.gif"], 32)[0]
    assert torch.equal(pixels[:, 0, 0], torch.tensor([255, 0, 0], dtype=torch.uint8))


def test_images_in_folders_below_a_class_are_its_own(tmp_path: Path) -> None:
    put_classes(tmp_path)
    for name in ("cat/2025/june/1.jpg", "cat/2025/june/trip/a/2.png", "dog/1.webp"):
        put(tmp_path / name)
    (tmp_path / "cat/2025/back").symlink_to(tmp_path / "cat", target_is_directory=True)
    data = list_data(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert len(data.train) + len(data.val) == 13


def test_what_is_left_out_is_counted_and_named_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_classes(tmp_path / "train")
    put_classes(tmp_path / "val")
    for i in range(20):
        (tmp_path / f"train/cat/{i}.heic").write_bytes(b"")
    (tmp_path / "train/cat/boxes.txt").write_text("no image")
    put(tmp_path / "val/stray.jpg")
    put(tmp_path / "test/cat/1.jpg")
    list_data(tmp_path)
    (line,) = notes(caplog).splitlines()
    assert line.startswith(f"{tmp_path}: left out are 20 .heic files, such as train/cat/")
    assert "convert them" in line
    assert "1 image outside of the class folders, such as val/stray.jpg (move them" in line
    assert "the folder test/ beside train/ and val/ (rename it to val/" in line
    assert "txt" not in line


def test_a_link_to_a_folder_around_it_and_a_pipe_are_no_class_and_no_image_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_classes(tmp_path)
    plain = list_data(tmp_path)
    (tmp_path / "cat/up").symlink_to("..", target_is_directory=True)  # has the dogs, too
    (tmp_path / "all").symlink_to(".", target_is_directory=True)
    (tmp_path / "itself").symlink_to("itself")
    os.mkfifo(tmp_path / "dog/pipe.jpg")
    linked = list_data(tmp_path)
    assert linked.classes == ["cat", "dog"]
    assert [image.name for image in linked.train.images] == [
        image.name for image in plain.train.images
    ]
    (line,) = notes(caplog).splitlines()
    assert line.startswith(f"{tmp_path}: left out are 4 that are no files, such as cat/up (a link ")


def test_a_name_with_a_line_break_stays_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_classes(tmp_path)
    put(tmp_path / "new\nline/1.jpg")
    with pytest.raises(SystemExit):
        run_command(lambda: list_data(tmp_path))
    assert "only one image in new\\nline; " in capsys.readouterr().err
    put(tmp_path / "new\nline/2.jpg")
    (tmp_path / "new\nline/3.heic").write_bytes(b"")
    run_command(lambda: list_data(tmp_path))
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 .heic file, such as new\\nline/3.heic (" in line


def test_nothing_is_said_where_nothing_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list_data(put_classes(tmp_path))
    assert notes(caplog) == ""


def test_other_commands_name_what_they_leave_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "a/b/c/1.tiff")
    (tmp_path / "a/2.cr2").write_bytes(b"")
    assert find_images(tmp_path) == [tmp_path / "a/b/c/1.tiff"]
    assert "1 .cr2 file, such as a/2.cr2" in notes(caplog)


@pytest.mark.parametrize(
    ("train", "val"),
    [("Train", "Val"), ("TRAIN", "TEST"), ("train", "Validation"), ("Training", "Testing")],
)
def test_splits_are_found_whatever_their_case(tmp_path: Path, train: str, val: str) -> None:
    put_classes(tmp_path / train, 3)
    put_classes(tmp_path / val, 2)
    data = list_data(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert (len(data.train), len(data.val), data.held_out) == (6, 4, "")
    assert data.val.images[0].name == f"{val}/cat/0.jpg"


def test_tests_on_another_folder_than_val_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_classes(tmp_path / "train", 3)
    put_classes(tmp_path / "test", 2)
    list_data(tmp_path)
    assert notes(caplog) == f"{tmp_path}: has no val/; the test images are those in test/"


def test_a_test_folder_without_classes_is_named_and_a_part_held_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_classes(tmp_path / "train")
    put(tmp_path / "test/1.jpg")
    data = list_data(tmp_path)
    assert data.held_out
    assert "the folder test/ beside train/" in notes(caplog)


@pytest.mark.parametrize("name", ["Train", "train", "test"])
def test_a_class_may_have_the_name_of_a_split(tmp_path: Path, name: str) -> None:
    put_classes(tmp_path)
    for i in range(5):
        put(tmp_path / name / f"{i}.jpg")
    assert list_data(tmp_path).classes == sorted(["cat", "dog", name])


def test_splits_one_folder_deeper_are_no_class(tmp_path: Path) -> None:
    put_classes(tmp_path / "photos/train")
    with pytest.raises(UserError, match=r"photos/ has one; give --data-root \S*photos"):
        list_data(tmp_path)
