"""Token files: contents are read as written, completely or not at all, and stay on the disk."""

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.stored_tokens import StoredTokens, rows_of_block
from seit_cl.data.token_dataset import open_token_dataset
from seit_cl.data.token_file import (
    TokenMetadata,
    TokenSplit,
    is_token_file,
    open_token_file,
    write_token_file,
)


def metadata(
    groups: int = 1, codes: int = 20, classes: int = 3, **changes: object
) -> TokenMetadata:
    """Metadata of a file."""
    codebook = torch.randn(groups, codes, 4, generator=torch.Generator().manual_seed(0))
    default = TokenMetadata(
        "things", [f"class {i}" for i in range(classes)], codebook, "sum", 8, "f" * 16, 1234
    )
    return replace(default, **changes)  # type: ignore[arg-type]


def split(
    count: int, grid: tuple[int, int, int], codes: int = 20, classes: int = 3, block: int = 4
) -> TokenSplit:
    """Random tokens in blocks."""
    tokens = torch.randint(
        0, codes, (count, *grid), generator=torch.Generator().manual_seed(count), dtype=torch.int16
    )
    return TokenSplit(torch.arange(count) % classes, list(tokens.split(block)))


def write(
    path: Path,
    grid: tuple[int, int, int] = (1, 4, 4),
    described: TokenMetadata | None = None,
    **splits: TokenSplit,
) -> Path:
    """A token file."""
    write_token_file(
        path,
        described or metadata(grid[0]),
        grid,
        splits or {"train": split(9, grid), "val": split(6, grid)},
    )
    return path


@settings(max_examples=25, deadline=None)
@given(
    grid=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    train=st.integers(0, 12),
    val=st.integers(0, 12),
    block=st.integers(1, 5),
    mirrored=st.booleans(),
    text=st.text(max_size=8),
)
def test_a_file_is_read_as_it_was_written(
    grid: tuple[int, int, int],
    train: int,
    val: int,
    block: int,
    mirrored: bool,
    text: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mirror = torch.arange(20).flip(0).expand(grid[0], 20).contiguous() if mirrored else None
    described = metadata(grid[0], mirror=mirror, combine="concat", name=text, notes={"note": text})
    splits = {"train": split(train, grid, block=block), "val": split(val, grid, block=block)}
    file = open_token_file(
        write(tmp_path_factory.mktemp("t") / "x.safetensors", grid, described, **splits)
    )
    for name, expected in splits.items():
        tokens = torch.cat([torch.zeros(0, *grid, dtype=torch.int16), *expected.tokens])
        assert torch.equal(file.tokens[name].whole(), tokens)
        assert torch.equal(file.labels[name], expected.labels)
    assert torch.equal(file.metadata.codebook, described.codebook)
    assert (mirror is None) == (file.metadata.mirror is None)
    assert mirror is None or torch.equal(file.metadata.mirror, mirror)  # type: ignore[arg-type]
    for field in ("name", "classes", "combine", "stride", "tokenizer", "codec_bytes", "notes"):
        assert getattr(file.metadata, field) == getattr(described, field)
    assert file.digest() == file.identity
    assert file.grid == grid


def test_the_identity_depends_on_the_contents_and_not_on_the_blocks(tmp_path: Path) -> None:
    grid = (1, 4, 4)
    identities = [
        open_token_file(write(tmp_path / f"{i}.safetensors", grid, described, train=part)).identity
        for i, (described, part) in enumerate(
            [
                (metadata(), split(9, grid, block=2)),
                (metadata(), split(9, grid, block=9)),
                (metadata(stride=4), split(9, grid)),
                (metadata(), split(8, grid)),
                (metadata(classes=4), split(9, grid)),
            ]
        )
    ]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 4


def test_any_reader_of_safetensors_can_read_and_slice_it(tmp_path: Path) -> None:
    grid = (1, 4, 4)
    path = tmp_path / "x.safetensors"
    write(path)
    with safe_open(path, framework="pt") as file:
        part = file.get_slice("train.tokens")
        assert part.get_shape() == [9, *grid]
        assert part[2:5].dtype == torch.int16
        assert torch.equal(part[2:5], open_token_file(path).tokens["train"][2:5])
        assert file.metadata()["kind"] == "tokens"


def test_tokens_stay_on_the_disk_until_they_are_used(tmp_path: Path) -> None:
    def blocks() -> Iterator[Tensor]:
        for _ in range(100):
            yield torch.zeros(1000, 1, 32, 32, dtype=torch.int16)

    path = tmp_path / "x.safetensors"
    write_token_file(
        path,
        metadata(),
        (1, 32, 32),
        {"train": TokenSplit(torch.zeros(100_000, dtype=torch.int64), blocks())},
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = open_token_file(path)
    assert file.tokens["train"][torch.tensor([5, 99_999])].shape == (2, 1, 32, 32)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert path.stat().st_size > 200_000_000
    assert grown < 50_000_000


def test_a_code_outside_the_codebook_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    tokens = torch.zeros(10, 1, 4, 4, dtype=torch.int16)
    tokens[6, 0, 2, 1] = -3
    with pytest.raises(UserError, match="train: image 6 has code -3, and the codebook ends at 19"):
        write(
            tmp_path / "x.safetensors",
            train=TokenSplit(torch.zeros(10, dtype=torch.int64), tokens.split(4)),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors")
    before = path.read_bytes()

    def broken() -> Iterator[Tensor]:
        yield torch.zeros(4, 1, 4, 4, dtype=torch.int16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, train=TokenSplit(torch.zeros(9, dtype=torch.int64), broken()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "absent" / "x.safetensors")


@pytest.mark.parametrize("what", ["absent", "text", "truncated", "weights", "labels", "groups"])
def test_other_files_and_damaged_ones_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    if what == "text":
        path.write_text("tokens")
    elif what == "truncated":
        path.write_bytes(write(path).read_bytes()[:-10])
    elif what == "weights":
        save_file({"weight": torch.zeros(3)}, path)
    elif what == "labels":
        write(path, train=split(9, (1, 4, 4), classes=7))
    elif what == "groups":
        write(path, (1, 4, 4), metadata(2))
    with pytest.raises(UserError, match=r"x\.safetensors: (not a|damaged)") as refused:
        open_token_file(path)
    assert "\n" not in str(refused.value)
    assert is_token_file(path) == (what in ("labels", "groups"))


def test_a_dataset_of_a_token_file_has_labels_and_tokens_and_no_images(tmp_path: Path) -> None:
    dataset = open_token_dataset(write(tmp_path / "x.safetensors"))
    assert not dataset.has_images
    assert (len(dataset.train), len(dataset.val)) == (9, 6)
    assert dataset.name == "things"
    assert dataset.identity == dataset.manifest == dataset.file.identity
    assert dataset.tokens()[0].shape == (9, 1, 4, 4)


def test_a_damaged_token_is_named_when_tokens_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors")
    path.write_bytes(path.read_bytes()[:-2] + (999).to_bytes(2, "little"))
    dataset = open_token_dataset(path)
    assert dataset.file.digest() != dataset.file.identity
    with pytest.raises(UserError, match="val, images from 0 on: damaged"):
        dataset.tokens()


def test_a_code_outside_the_codebook_is_named_in_a_file_without_digests() -> None:
    tokens = torch.zeros(6, 1, 4, 4, dtype=torch.int16)
    tokens[5, 0, 3, 3] = 999
    stored = StoredTokens(Path("x"), "val", tokens, 20, None, "make it again")
    with pytest.raises(UserError, match="x: val: image 5 has code 999"):
        stored.whole()


def test_only_blocks_that_are_used_are_compared_with_their_digests(tmp_path: Path) -> None:
    grid = (1, 64, 64)
    images = rows_of_block((1, *grid)) + 1
    path = tmp_path / "x.safetensors"
    blocks = torch.zeros(images, *grid, dtype=torch.int16).split(100)
    labels = torch.zeros(images, dtype=torch.int64)
    write_token_file(path, metadata(), grid, {"train": TokenSplit(labels, blocks)})
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\1")  # the last image is alone in its block
    tokens = open_token_file(path).tokens["train"]
    assert tokens[: images - 1].shape == (images - 1, *grid)
    with pytest.raises(UserError, match=f"train, images from {images - 1} on: damaged"):
        _ = tokens[torch.tensor([0, images - 1])]


@pytest.mark.parametrize(
    ("grid", "splits", "words"),
    [
        ((1, 4, 4), {"train": 9}, "has no val split"),
        ((1, 2, 4), {"train": 9, "val": 9}, "grids of 2 x 4 tokens"),
        ((1, 4, 4), {"train": 9, "val": 2}, "val has no images of class 2"),
    ],
)
def test_files_that_no_run_can_use_are_refused(
    grid: tuple[int, int, int], splits: dict[str, int], words: str, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "x.safetensors",
        grid,
        None,
        **{name: split(count, grid) for name, count in splits.items()},
    )
    with pytest.raises(UserError, match=words):
        open_token_dataset(path)


OTHER_TYPES = {
    "name": "3",
    "classes": '"abc"',
    "combine": '"mean"',
    "stride": "1e30",
    "tokenizer": "null",
    "codec_bytes": "Infinity",
    "notes": '{"a": []}',
}
WRONG_TABLES = {
    "codebook": torch.full((1, 20, 4), float("nan")),
    "mirror": torch.full((1, 20), 20),
    "synonyms": torch.full((19, 3), 0, dtype=torch.int16),
}


@pytest.mark.parametrize("entry", OTHER_TYPES)
@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 5000, "other type"])
def test_entries_of_another_type_are_refused_in_one_line(
    entry: str, text: str, tmp_path: Path
) -> None:
    entries = metadata().header_entries() | {"identity": "0" * 16}
    entries[entry] = OTHER_TYPES[entry] if text == "other type" else text
    assert "\n" not in refused(tmp_path / "x.safetensors", entries)


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_tables_that_do_not_fit_the_codes_are_refused(table: str, tmp_path: Path) -> None:
    described = metadata(**{table: WRONG_TABLES[table]})
    path = write(tmp_path / "x.safetensors", described=described)
    with pytest.raises(UserError, match=rf"x\.safetensors: not a token file.*{table[:6]}"):
        open_token_file(path)


def refused(path: Path, entries: dict[str, str]) -> str:
    """The error about a token file with these entries."""
    tensors = {
        "codebook": metadata().codebook,
        "train.labels": torch.zeros(2, dtype=torch.int64),
        "train.tokens": torch.zeros(2, 1, 4, 4, dtype=torch.int16),
    }
    save_file(tensors, path, metadata=entries)
    with pytest.raises(UserError, match=r"x\.safetensors: not a token file") as error:
        open_token_file(path)
    return str(error.value)
