"""Tokenizer files: saving and loading, identity, and errors for bad files."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save

from helpers.tokenizer_samples import CARD, images, residual, untrained
from seit_cl.core.errors import UserError
from seit_cl.tokenizers import _vqae_tokenizer, open_tokenizer
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer, load_tokenizer
from seit_cl.tokenizers.base import identity_of
from seit_cl.tokenizers.bundled import WEIGHTS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenizer.safetensors"


def test_a_loaded_tokenizer_is_the_saved_one(path: Path) -> None:
    made = untrained(card=CARD)
    made.save(path)
    loaded = load_tokenizer(path)
    batch = images(4, 64)
    assert loaded.identity == made.identity
    assert loaded.codec_bytes == made.codec_bytes
    assert torch.equal(loaded.codebook, made.codebook)
    assert torch.equal(loaded.encode(batch), made.encode(batch))
    assert os.listdir(path.parent) == [path.name]


def test_levels_come_back_and_a_spec_sets_how_many_are_used(path: Path) -> None:
    made = untrained(levels=3)
    batch = images(4, 64)
    made.save(path)
    tokens = made.encode(batch)
    for levels, used in ((0, 3), (1, 1), (2, 2), (3, 3)):
        opened = open_tokenizer(f"bundled:{path},levels={levels}")
        assert torch.equal(opened.encode(batch), tokens[:, :used])
        assert opened.identity == made.first(used).identity
        assert opened.codec_bytes == made.first(used).codec_bytes
    assert open_tokenizer(str(path)).identity == made.identity
    for spec in (f"bundled:{path},levels=4", f"bundled:{path},levels=-1", "bundled:levels=2"):
        with pytest.raises(UserError, match=r"levels=-?\d, but it has \d"):
            open_tokenizer(spec)


def test_identity_survives_a_second_save_and_load(path: Path) -> None:
    untrained(card=CARD).save(path)
    load_tokenizer(path).save(path)
    again = load_tokenizer(path)
    assert again.identity == untrained().identity
    assert again.card == CARD


@given(card=st.dictionaries(st.text(min_size=1), st.text()))
@settings(max_examples=15, deadline=None)
def test_the_card_comes_back(
    card: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "card.safetensors"
    card = {key: value for key, value in card.items() if key not in ("config", "identity")}
    VQAETokenizer(untrained().model, card).save(file)
    assert load_tokenizer(file).card == card


def test_a_card_cannot_hide_configuration_or_identity(path: Path) -> None:
    made = untrained(card={"config": "{}", "identity": "none"})
    made.save(path)
    assert load_tokenizer(path).identity == made.identity


def test_identity_changes_with_every_weight_and_with_the_codebook() -> None:
    model = untrained().model
    seen = {identity_of("x", model.state_dict())}
    for tensor in model.state_dict().values():
        tensor[(-1,) * tensor.ndim] += 0.25
        seen.add(identity_of("x", model.state_dict()))
    assert len(seen) == 1 + len(model.state_dict())


def test_identity_changes_with_the_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = untrained().identity
    monkeypatch.setattr(
        _vqae_tokenizer, "PREPROCESSING", _vqae_tokenizer.PREPROCESSING + ", flipped"
    )
    assert untrained().identity != before


def test_identity_does_not_depend_on_the_memory_format_or_the_card() -> None:
    made = untrained()
    before = identity_of("x", made.model.state_dict())
    contiguous = made.model.to(memory_format=torch.contiguous_format)
    assert identity_of("x", contiguous.state_dict()) == before
    assert VQAETokenizer(made.model, CARD).identity == made.identity


def test_the_bundled_file_states_its_own_identity() -> None:
    with safe_open(str(WEIGHTS), framework="pt") as file:
        assert file.metadata()["identity"] == load_tokenizer(WEIGHTS).identity


def refused(path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"tokenizer\.safetensors: (not a readable|no such tokenizer|damaged)",
    ) as error:
        load_tokenizer(path)
    assert len(str(error.value).splitlines()) == 1
    assert "python -m seit_cl.tokenize" in str(error.value)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "tokenizer.safetensors"
    untrained().save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path)


def _config(**changes: object) -> bytes:
    model = untrained().model
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    return save(weights, metadata={"config": json.dumps({**model.config, **changes})})


BAD: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"this is no tokenizer, whatever its name says\n",
    "an image": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "no metadata": lambda: save({"codebook": torch.zeros(4, 2)}),
    "another model's weights": lambda: save({"weight": torch.zeros(4)}, metadata={"config": "{}"}),
    "configuration that is no JSON": lambda: save(
        {"weight": torch.zeros(4)}, metadata={"config": "{codes"}
    ),
    "configuration that is a list": lambda: save(
        {"weight": torch.zeros(4)}, metadata={"config": "[1, 2]"}
    ),
    "weights of another width": lambda: _config(width=32),
    "unknown option": lambda: _config(colour="red"),
    "fewer than no codes": lambda: _config(codes=-4),
    "a width in words": lambda: _config(width="wide"),
}


@pytest.mark.parametrize("content", BAD)
def test_a_file_of_something_else_is_refused(path: Path, content: str) -> None:
    path.write_bytes(BAD[content]())
    refused(path)


def test_a_missing_file_and_a_folder_are_refused(path: Path) -> None:
    refused(path)
    path.mkdir()
    refused(path)


@pytest.mark.parametrize("levels", [1, 2])
def test_tokens_without_their_last_levels_decode_as_those_of_the_first(levels: int) -> None:
    whole = residual()
    tokens = whole.encode(images(3, 32))
    cut = tokens.clone()
    cut[:, levels:] = -1
    mixed = whole.decode(torch.cat([cut, tokens]))
    assert torch.equal(mixed[: len(cut)], whole.first(levels).decode(tokens[:, :levels]))
    assert torch.equal(mixed[len(cut) :], whole.decode(tokens))
