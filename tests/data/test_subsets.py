"""Some classes of a dataset form a dataset of their own, of images or of tokens."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.tokenizer_samples import untrained
from seit_cl.data.base import Dataset
from seit_cl.data.folder import open_folder
from seit_cl.data.stored import StoredImage
from seit_cl.data.token_dataset import open_token_dataset
from seit_cl.experiment.token_cache import cached_tokens
from seit_cl.tokenizers.commands.encode import encode_command
from seit_cl.tokenizers.commands.options import Encode


@pytest.fixture(scope="module")
def tokens(fractals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fractals' tokens of a small tokenizer."""
    folder = tmp_path_factory.mktemp("tokens")
    untrained(3).save(folder / "own.safetensors")
    out = folder / "t.safetensors"
    encode_command(Encode(fractals, out, tokenizer=str(folder / "own.safetensors"), workers=1))
    return out


def of_class(data: Dataset, name: str) -> list[StoredImage]:
    """The train images of a class."""
    rows = (data.train.labels == data.classes.index(name)).nonzero()[:, 0]
    return [data.train.images[row] for row in rows.tolist()]


@given(chosen=st.sets(st.integers(0, 4), min_size=1))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_subset_of_a_folder_has_the_files_of_its_classes_in_order(
    chosen: set[int], fractals: Path
) -> None:
    data = open_folder(fractals)
    names = [data.classes[i] for i in chosen]
    part = data.subset(reversed(names))
    assert part.classes == sorted(names)
    assert all(of_class(part, name) == of_class(data, name) for name in names)
    assert len(part.val) == 6 * len(names)
    assert part.val.labels.tolist() == sorted(part.val.labels.tolist())
    assert (part is data) == (len(names) == 5)


@given(first=st.sets(st.integers(0, 4), min_size=2), again=st.integers(0, 4))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_tokens_of_a_token_file_are_cut_with_the_labels(
    first: set[int], again: int, tokens: Path
) -> None:
    data = open_token_dataset(tokens)
    part = data.subset(data.classes[i] for i in first)
    part = part.subset(part.classes[: 1 + again % len(part.classes)])
    for whole, cut, split, labels in zip(
        data.tokens(),
        part.tokens(),
        (data.train, data.val),
        (part.train.labels, part.val.labels),
        strict=True,  # type: ignore[attr-defined]
    ):
        for label, name in enumerate(part.classes):
            assert torch.equal(
                cut[labels == label], whole[split.labels == data.classes.index(name)]
            )
        assert len(cut) == len(labels)


@pytest.mark.parametrize("kind", ["folder", "tokens"])
def test_all_subsets_have_different_identities_and_manifests(
    kind: str, fractals: Path, tokens: Path
) -> None:
    data = open_folder(fractals) if kind == "folder" else open_token_dataset(tokens)
    parts = []
    for size in (2, 3, 5):
        parts += [data.subset(names) for names in combinations(data.classes, size)]
    assert len(parts) == 21
    assert len({part.identity for part in parts}) == 21
    assert len({part.manifest for part in parts}) == 21
    assert data.subset(data.classes[:2]).identity == parts[0].identity


def test_two_subsets_do_not_share_cached_tokens(fractals: Path) -> None:
    data = open_folder(fractals)
    tokenizer = untrained(4)
    one, _ = cached_tokens(data.subset(data.classes[:2]), tokenizer, 32)
    other, _ = cached_tokens(data.subset(data.classes[1:3]), tokenizer, 32)
    assert torch.equal(one[16:], other[:16])
    assert not torch.equal(one[:16], other[16:])
