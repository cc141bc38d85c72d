"""Runs from tokens alone give the numbers of runs on images, and refuse what needs images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.release_files import write_release
from helpers.tokenizer_samples import bundled, untrained
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode

SHORT: dict[str, Any] = {
    "experiences": 2,
    "epochs": 1,
    "batch": 16,
    "replay_batch": 8,
    "memory_mb": 0.003,
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer file that is not the bundled one."""
    path = tmp_path_factory.mktemp("tokenizer") / "own.safetensors"
    untrained(3).save(path)
    return path


@pytest.fixture(scope="module")
def tokens(fractals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fractals' tokens of the bundled tokenizer."""
    path = tmp_path_factory.mktemp("tokens") / "fractals.safetensors"
    encode_command(Encode(fractals, path, workers=1))
    return path


@pytest.fixture(scope="module")
def own_tokens(fractals: Path, own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fractals' tokens of the other tokenizer."""
    path = tmp_path_factory.mktemp("tokens") / "fractals.safetensors"
    encode_command(Encode(fractals, path, tokenizer=str(own), workers=1))
    return path


def run(folder: Path, **options: Any) -> Path:
    """A finished run's folder."""
    config = RunConfig(**{**SHORT, **options})
    data = RunData(config)
    build_modality(config.learner, data).prepare()
    Experiment(config, data, folder).run()
    return folder


def same_numbers(one: Path, other: Path) -> None:
    """Assert that two runs have the same results, memories included."""
    assert (one / "accuracy.csv").read_bytes() == (other / "accuracy.csv").read_bytes()
    assert (one / "memory.bin").read_bytes() == (other / "memory.bin").read_bytes()
    # The images of a token file were tokenized by others.
    apart = dict.fromkeys(
        ("train_seconds", "phases", "flops_tokenizing", "flops_testing", "flops_total")
    )
    facts = [json.loads((folder / "facts.json").read_text()) | apart for folder in (one, other)]
    assert facts[0] == facts[1]
    assert read_run(one).status == "finished"


def test_shared_data_of_a_token_file_and_of_a_part_of_it_are_mapped(tokens: Path) -> None:
    whole = RunData(RunConfig(data_root=tokens), shared=True)
    classes = whole.dataset.classes[1:3]
    part = RunData(RunConfig(data_root=tokens), shared=True, dataset=whole.dataset.subset(classes))
    for owner in (whole, part):
        shared = owner.share().open()
        assert torch.equal(shared.test_tokens, owner.test_tokens)
        assert shared.dataset.classes == owner.dataset.classes
    assert part.share().open().test_tokens.data_ptr() == part.test_tokens.data_ptr()


def test_the_token_file_gives_the_numbers_of_its_images(
    fractals: Path, tokens: Path, tmp_path: Path
) -> None:
    from_images = run(tmp_path / "images", data_root=fractals, format="tokens:coder=context")
    from_tokens = run(tmp_path / "tokens", data_root=tokens, format="tokens:coder=context")
    same_numbers(from_images, from_tokens)
    shown = np.load(
        from_tokens / "exemplars.npz"
    )  # the bundled tokenizer made them and decodes them
    assert np.array_equal(shown["after"], np.load(from_images / "exemplars.npz")["after"])
    assert np.array_equal(shown["before"], shown["after"])


def test_so_it_does_where_the_tokenizer_is_not_at_hand_and_then_shows_no_exemplars(
    fractals: Path, own: Path, own_tokens: Path, tmp_path: Path
) -> None:
    from_images = run(tmp_path / "images", data_root=fractals, tokenizer=str(own))
    from_tokens = run(tmp_path / "tokens", data_root=own_tokens)
    same_numbers(from_images, from_tokens)
    assert (from_images / "exemplars.npz").exists()
    assert not (from_tokens / "exemplars.npz").exists()
    with_both = run(tmp_path / "both", data_root=own_tokens, tokenizer=str(own))
    same_numbers(from_images, with_both)
    assert (with_both / "exemplars.npz").exists()


def test_the_data_say_what_they_are(tokens: Path, own_tokens: Path, own: Path) -> None:
    data = RunData(RunConfig(data_root=tokens))
    assert data.resolution == 64
    assert data.grid == (1, 8, 8)
    assert data.tokenizer.identity == bundled().identity
    assert data.dataset.name == "fractals"
    assert data.identity["dataset_identity"] == data.dataset.identity
    stored = RunData(RunConfig(data_root=own_tokens)).tokenizer
    opened = RunData(RunConfig(data_root=own_tokens, tokenizer=str(own))).tokenizer
    assert stored.identity == opened.identity
    assert torch.equal(stored.codebook, opened.codebook)
    assert (stored.stride, stored.combine, stored.codec_bytes) == (
        opened.stride,
        opened.combine,
        opened.codec_bytes,
    )
    assert stored.mirror is not None
    assert opened.mirror is not None
    assert torch.equal(stored.mirror, opened.mirror)
    assert not stored.decodes
    assert opened.decodes
    for refused, words in (
        (stored.encode, "encoding images needs it"),
        (stored.decode, "does not decode to images"),
    ):
        with pytest.raises(UserError, match=words):
            refused(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_a_release_folder_is_converted_into_the_cache_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    write_release(tmp_path / "release", each=12)
    reported: list[tuple[str, int, int]] = []
    config = RunConfig(data_root=tmp_path / "release", **SHORT)
    data = RunData(config, lambda what, done, total: reported.append((what, done, total)))
    assert reported[0] == ("converting", 0, 96)
    assert reported[-1] == ("converting", 96, 96)
    assert data.dataset.name == "release"
    assert data.resolution == 32
    Experiment(config, data, tmp_path / "run").run()
    assert read_run(tmp_path / "run").status == "finished"
    reported.clear()
    again = RunData(config, lambda what, done, total: reported.append((what, done, total)))
    assert reported == []
    assert again.dataset.identity == data.dataset.identity


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "jpeg"}, "--format jpeg: needs images, and .* holds tokens alone"),
        ({"format": "raw"}, "--format raw: needs images"),
        ({"format": "jpeg:original"}, "--format jpeg:original: needs images"),
        ({"learner": "pixels", "format": "jpeg"}, "--learner pixels: needs images"),
        ({"resolution": 128}, "--resolution 128: .* holds tokens of 64 px"),
        ({"tokenizer": "OWN"}, "--tokenizer .*was made by"),
        ({"tokenizer": "TOKENS"}, "holds tokens and not the tokenizer.*--data-root"),
    ],
)
def test_what_needs_images_is_one_line_before_any_training(
    options: dict[str, Any], words: str, tokens: Path, own: Path, tmp_path: Path
) -> None:
    paths = {"OWN": str(own), "TOKENS": str(tokens)}
    filled = dict(options)
    for name, value in options.items():
        if isinstance(value, str):
            filled[name] = paths.get(value, value)
    with pytest.raises(UserError, match=words) as refused:
        run(tmp_path / "run", data_root=tokens, **filled)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_pixels_and_files_are_refused_by_name(tokens: Path) -> None:
    data = RunData(RunConfig(data_root=tokens))
    ids = torch.tensor([0])
    for call in (data.pixels, data.read, data.files, lambda ids: data.test_pixels):
        with pytest.raises(UserError, match="pixels: needs images"):
            call(ids)


def test_a_file_that_holds_no_tokens_is_one_line(own: Path) -> None:
    with pytest.raises(UserError, match=r"own\.safetensors: not a"):
        RunData(RunConfig(data_root=own))
