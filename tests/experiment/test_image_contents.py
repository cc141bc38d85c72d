"""Images replaced by others of the same names and sizes are noticed before a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.metadata import CONTENTS
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.results import run_writer


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image folder of 2 classes of uncompressed files, and an empty cache."""
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    folder = write_fractals(tmp_path / "fractals", 2, 3, 1, 32)
    for path in folder.glob("*/*/*.png"):
        turn(path)
    return folder


def turn(path: Path) -> None:
    """Replace an image by another one, of the same size if it is not compressed."""
    with Image.open(path) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_180)
    turned.save(path, compress_level=0)


def opened(config: RunConfig, out: Path) -> RunData:
    """The data of a run, loaded."""
    console = Console(quiet=True)
    with progress_bars(console) as bars:
        return open_data([config], out, bars)


def begun(data: RunData, run_dir: Path, learner: str) -> None:
    """The folder of a run that was begun with some data and was killed."""
    contents = data.contents(learner == "tokens")
    environment = {**data.identity, CONTENTS: contents}
    run_writer.start_run(run_dir, {"learner": learner}, environment)


@pytest.mark.parametrize("learner", ["tokens", "pixels"])
def test_a_run_does_not_go_on_with_other_images(learner: str, root: Path, tmp_path: Path) -> None:
    config = RunConfig(data_root=root, learner=learner, device="cpu")  # type: ignore[arg-type]
    out = tmp_path / "out"
    data = opened(config, out)
    begun(data, out / "run", learner)
    opened(config, out)
    turn(next(root.glob("train/*/*.png")))
    assert RunData(config).identity == data.identity  # names and sizes are the same
    with pytest.raises(UserError, match=r"run was made with other images .* restore them"):
        opened(config, out)


def test_learners_of_tokens_and_of_pixels_see_the_same_contents(root: Path, tmp_path: Path) -> None:
    contents = set()
    for learner in ("tokens", "pixels"):
        config = RunConfig(data_root=root, learner=learner, device="cpu")  # type: ignore[arg-type]
        contents.add(opened(config, tmp_path / learner).contents(learner == "tokens"))
    assert len(contents) == 1
    assert len(contents.pop()) == 16


def test_images_that_are_not_read_before_a_run_are_compared_in_part(root: Path) -> None:
    data = RunData(RunConfig(data_root=root, learner="pixels", device="cpu"))
    before = data.contents(as_tokens=False)
    assert before.startswith("some ")
    turn(next(root.glob("val/*/*.png")))
    again = RunData(RunConfig(data_root=root, learner="pixels", device="cpu"))
    assert again.contents(as_tokens=False) != before


def test_runs_of_versions_that_did_not_record_contents_go_on(root: Path, tmp_path: Path) -> None:
    config = RunConfig(data_root=root, device="cpu")
    data = opened(config, tmp_path / "out")
    run_writer.start_run(tmp_path / "out" / "run", {"learner": "tokens"}, data.identity)
    opened(config, tmp_path / "out")
