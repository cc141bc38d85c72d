"""Pruning: unused codes are removed, used ones do not change, and the file opens like any other."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from helpers.tokenize_command import TokenizeHere, flattened
from helpers.tokenizer_samples import ibq_f4, images, llamagen_f4, magvit2_f4, vit, vqgan_f8
from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import write_fractals
from seit_cl.data.images import load_images
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._published import PublishedTokenizer

MADE: dict[str, Callable[[], PublishedTokenizer]] = {
    "vit_vqgan": vit,
    "vqgan": vqgan_f8,
    "ibq": ibq_f4,
    "llamagen": llamagen_f4,
    "vqgan:gumbel": lambda: vqgan_f8(gumbel=True),
}


def counts(tokenizer: PublishedTokenizer, batch: torch.Tensor) -> torch.Tensor:
    return torch.bincount(
        tokenizer.encode(batch).flatten().long(), minlength=tokenizer.codebook.shape[1]
    )


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(sorted(MADE)), seed=st.integers(0, 99), count=st.integers(2, 4))
def test_images_of_the_data_set_keep_their_codes_under_new_numbers(
    name: str, seed: int, count: int
) -> None:
    whole = MADE[name]()
    batch = images(count, 48, seed)
    uses = counts(whole, batch)
    left = whole.pruned(uses)
    old = left.state["pruned.codes"]
    assert torch.equal(old, uses.nonzero()[:, 0])
    assert torch.equal(left.state["pruned.uses"], uses[old])
    assert torch.equal(old[left.encode(batch).long()], whole.encode(batch).long())
    assert torch.equal(left.codebook, whole.codebook[:, old])
    assert torch.equal(left.decode(left.encode(batch)), whole.decode(whole.encode(batch)))


@settings(max_examples=12, deadline=None)
@given(living=st.sets(st.integers(0, 99), min_size=2), seed=st.integers(0, 99))
def test_other_images_get_the_nearest_of_the_codes_left(living: set[int], seed: int) -> None:
    uses = torch.zeros(100, dtype=torch.int64)
    uses[list(living)] = 1
    left = vit().pruned(uses)
    batch = images(2, 32, seed)
    latents = vit().model.latents(batch.float() / 127.5 - 1).permute(0, 2, 3, 1)
    similar = latents @ vit().codebook[0].T
    similar[..., uses == 0] = -2
    taken = left.state["pruned.codes"][left.encode(batch)[:, 0].long()]
    assert (similar.max(-1).values - similar.gather(-1, taken[..., None])[..., 0]).max() < 1e-5


@pytest.mark.parametrize("name", MADE)
def test_pruning_twice_still_gives_the_first_tokenizers_codes(name: str) -> None:
    whole = MADE[name]()
    once = whole.pruned(torch.arange(whole.codebook.shape[1]) % 3)
    twice = once.pruned(torch.arange(once.codebook.shape[1]) % 2)
    assert torch.equal(whole.codebook[:, twice.state["pruned.codes"]], twice.codebook)
    assert len({whole.identity, once.identity, twice.identity}) == 3
    assert once.codec_bytes < whole.codec_bytes


def test_pruning_nothing_gives_the_same_tokenizer() -> None:
    assert vit().pruned(torch.ones(100, dtype=torch.int64)).identity == vit().identity


@pytest.mark.parametrize("used", [0, 1])
def test_a_tokenizer_needs_two_codes(used: int) -> None:
    with pytest.raises(UserError, match=f"{used} of 100 codes are used"):
        vit().pruned((torch.arange(100) < used).long())


def test_the_command_writes_a_file_that_opens_by_its_path(
    tmp_path: Path, tokenize: TokenizeHere
) -> None:
    root = write_fractals(tmp_path / "data", 2, 3, 2, 32)
    whole = tmp_path / "whole.safetensors"
    out = tmp_path / "pruned.safetensors"
    vit().save(whole)
    options = {"--tokenizer": whole, "--data-root": root, "--out": out, "--resolution": 32}
    assert tokenize("prune", *flattened(options)).code == 0
    pruned = open_tokenizer(str(out))
    batch = load_images(open_folder(root).train.images, 32)
    used = int((counts(vit(), batch) > 0).sum())
    assert pruned.codebook.shape[1] == used < 100
    assert pruned.identity != vit().identity
    assert pruned.card["pruned"] == (
        f"{used} of 100 codes, those that 6 images of data/train use at 32 px"
    )
    with safe_open(str(out), framework="pt") as file:
        old = file.get_tensor("pruned.codes")
        assert int(file.get_tensor("pruned.uses").sum()) == 6 * 16
    assert torch.equal(old[pruned.encode(batch).long()], vit().encode(batch).long())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--tokenizer": "bundled"}, "--tokenizer bundled: codes of this kind cannot be pruned"),
        ({"--tokenizer": "bits.safetensors"}, "bits.safetensors: codes of this kind cannot be"),
        ({"--resolution": "30"}, "--resolution 30: must be a multiple of 8"),
        ({"--data-root": "absent"}, "absent: no such folder"),
        ({"--out": "absent/x.safetensors"}, "--out absent/x.safetensors"),
        ({"--out": "x.pt"}, "--out x.pt: give a .safetensors file"),
    ],
)
def test_bad_input_is_one_line(
    changes: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenize: TokenizeHere,
) -> None:
    monkeypatch.chdir(tmp_path)
    vit().save(Path("whole.safetensors"))
    magvit2_f4().save(Path("bits.safetensors"))
    options = {"--tokenizer": "whole.safetensors", "--data-root": ".", "--out": "x.safetensors"}
    ended = tokenize("prune", *flattened(options | changes))
    assert ended.is_one_line_error
    assert words in ended.err
