"""The tokenizer of a pilot: the better one of own and bundled, measured once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from seit_cl.core.errors import UserError
from seit_cl.data.stored import StoredImage
from seit_cl.datasets import list_data
from seit_cl.piloting import own_tokenizer
from seit_cl.piloting.options import PilotOptions
from seit_cl.piloting.own_tokenizer import MEASURED_FILE, choose_tokenizer
from seit_cl.piloting.plan import tokenizer_path
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer

SIDE = 64


@pytest.fixture
def options(fractals: Path, tmp_path: Path) -> PilotOptions:
    """A pilot whose own tokenizer is trained for less than a second."""
    return PilotOptions(
        fractals, 0.02, 1000, 24, out=tmp_path, minutes=0.01, targets="labels", device="cpu"
    )


@pytest.fixture
def images(fractals: Path) -> Sequence[StoredImage]:
    """Training images."""
    return list_data(fractals).train.images


def save_equal_of_bundled(options: PilotOptions) -> None:
    """Write an own tokenizer that reconstructs as the bundled one does."""
    own = open_tokenizer(DEFAULT_TOKENIZER)
    assert isinstance(own, VQAETokenizer)
    words = f"--minutes {options.minutes} --targets {options.targets} --resolution {SIDE}"
    own.card = own.card | {"command": words}
    own.save(tokenizer_path(options.folder))


def test_the_bundled_tokenizer_is_taken_where_the_own_one_is_worse(
    options: PilotOptions, images: Sequence[StoredImage], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(soft_wrap=True)
    choice = choose_tokenizer(options, images, SIDE, console)
    assert choice.spec == DEFAULT_TOKENIZER and not choice.is_own
    assert choice.own is not None and choice.bundled is not None and choice.own < choice.bundled
    assert f"{choice.comparison()}: the bundled one is taken" in capsys.readouterr().out
    forced = choose_tokenizer(replace(options, tokenizer="own"), images, SIDE, console)
    assert forced.spec == str(tokenizer_path(options.folder)) and forced.is_own
    assert (forced.own, forced.bundled) == (choice.own, choice.bundled)


def test_an_own_tokenizer_that_is_no_worse_is_taken(
    options: PilotOptions, images: Sequence[StoredImage]
) -> None:
    save_equal_of_bundled(options)
    assert choose_tokenizer(options, images, SIDE, Console(quiet=True)).is_own


def test_both_are_measured_once_and_again_where_the_file_is_not_of_them(
    options: PilotOptions, images: Sequence[StoredImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_equal_of_bundled(options)
    first = choose_tokenizer(options, images, SIDE, Console(quiet=True))
    written = (options.folder / MEASURED_FILE).read_text()
    for text in ("", "tokenizer,psnr\nother,1\n", written.replace(",", ",x"), "\x00"):
        (options.folder / MEASURED_FILE).write_text(text)
        assert choose_tokenizer(options, images, SIDE, Console(quiet=True)) == first
        assert (options.folder / MEASURED_FILE).read_text() == written
    monkeypatch.delattr(own_tokenizer, "quality")
    assert choose_tokenizer(options, images, SIDE, Console(quiet=True)) == first


def test_a_tokenizer_of_other_options_is_refused(
    options: PilotOptions, images: Sequence[StoredImage]
) -> None:
    save_equal_of_bundled(options)
    with pytest.raises(UserError, match="was trained with other --minutes"):
        choose_tokenizer(replace(options, minutes=3), images, SIDE, Console(quiet=True))


def test_no_minutes_take_the_bundled_tokenizer_without_a_comparison(
    options: PilotOptions, images: Sequence[StoredImage]
) -> None:
    choice = choose_tokenizer(replace(options, minutes=0), images, SIDE, Console(quiet=True))
    assert choice.spec == DEFAULT_TOKENIZER and choice.comparison() == ""
