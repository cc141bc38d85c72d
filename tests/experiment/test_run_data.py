"""The data of a run: views of one image, made once; bad options are named."""

from pathlib import Path

import pytest
import torch

from helpers.tokenizer_samples import bundled
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment import run_data
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.run_data import RunData

IDS = torch.tensor([3, 0, 77, 3])


@pytest.fixture
def data(fractals: Path) -> RunData:
    return RunData(RunConfig(data_root=fractals))


def test_a_samples_tokens_are_those_of_its_pixels(data: RunData) -> None:
    assert torch.equal(data.tokens(IDS), bundled().encode(data.pixels(IDS)))
    assert torch.equal(data.test_tokens, bundled().encode(data.test_pixels))


def test_a_samples_files_are_the_originals(data: RunData) -> None:
    assert data.files(IDS) == [data.dataset.train.images[i].read() for i in IDS.tolist()]


@pytest.mark.parametrize("resolution", [0, 32, 96])
def test_the_grid_is_that_of_the_tokens(fractals: Path, resolution: int) -> None:
    data = RunData(RunConfig(data_root=fractals, resolution=resolution))
    assert data.resolution == (resolution or 64)
    assert data.tokens(IDS).shape[1:] == data.grid


def test_pixels_that_do_not_fit_in_memory_are_read_when_asked_for(
    data: RunData, fractals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = data.pixels(IDS)
    monkeypatch.setattr(run_data, "MAIN_MEMORY", 1000)
    assert torch.equal(RunData(RunConfig(data_root=fractals)).pixels(IDS), expected)


def test_shared_data_have_the_same_tokens_and_pixels_in_the_same_memory(
    data: RunData, fractals: Path
) -> None:
    owner = RunData(RunConfig(data_root=fractals), shared=True)
    build_modality("pixels", owner).prepare()
    shared = owner.share().open()
    assert shared.test_pixels.data_ptr() == owner.test_pixels.data_ptr()
    assert torch.equal(shared.pixels(IDS), data.pixels(IDS))
    assert torch.equal(shared.tokens(IDS), data.tokens(IDS))
    assert shared.identity == data.identity


def test_the_second_run_on_the_same_data_tokenizes_nothing(data: RunData, fractals: Path) -> None:
    build_modality("tokens", data).prepare()
    reported: list[str] = []
    again = RunData(RunConfig(data_root=fractals), lambda what, done, total: reported.append(what))
    build_modality("tokens", again).prepare()
    assert torch.equal(again.tokens(IDS), data.tokens(IDS))
    assert reported == []


def test_progress_ends_at_all_images(
    fractals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path))
    reported: dict[tuple[str, int], int] = {}
    data = RunData(
        RunConfig(data_root=fractals),
        lambda what, done, total: reported.update({(what, total): done}),
    )
    build_modality("tokens", data).prepare()
    build_modality("pixels", data).prepare()
    assert reported == {
        ("tokenizing", 110): 110,
        ("reading images", 30): 30,
        ("reading images", 80): 80,
    }


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("resolution", 60, "--resolution 60: must be a multiple of 8"),
        ("resolution", 24, "--resolution 24"),
        ("data_root", Path("no/such/folder"), "no/such/folder"),
        ("tokenizer", "no/such/file", "no/such/file: no such tokenizer file"),
    ],
)
def test_bad_options_are_named(fractals: Path, option: str, value: object, words: str) -> None:
    options: dict[str, object] = {"data_root": fractals} | {option: value}
    with pytest.raises(UserError, match=words):
        RunData(RunConfig(**options))  # type: ignore[arg-type]
