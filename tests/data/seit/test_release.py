"""A SeiT release becomes a token file and is exported byte for byte; damage is named."""

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save

from helpers.release_files import NAME, packed, write_release, write_split
from seit_cl.core.errors import UserError
from seit_cl.data.seit import stream
from seit_cl.data.seit.export import export_release
from seit_cl.data.seit.release import is_release, read_release
from seit_cl.data.token_dataset import open_release
from seit_cl.data.token_file import open_token_file, write_token_file

TRAIN = f"{NAME}-train-token"


def converted(folder: Path, out: Path, grid: tuple[int, int] | None = None) -> Path:
    """The token file of a release."""
    release = read_release(folder, grid)
    write_token_file(out, release.metadata, release.grid, release.splits)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder; the codebook's bytes are the same where the same torch wrote it."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tokens_labels_codebook_and_synonyms_are_imported(tmp_path: Path) -> None:
    tokens = write_release(tmp_path / "release")
    file = open_token_file(converted(tmp_path / "release", tmp_path / "x.safetensors"))
    assert all(torch.equal(file.tokens[split].whole(), tokens[split]) for split in ("train", "val"))
    assert file.labels["val"].tolist() == [0, 1, 2, 3] * 3
    assert file.metadata.classes == [
        "0",
        "1",
        "2",
        "3",
    ]
    assert torch.equal(
        file.metadata.codebook[0],
        torch.load(tmp_path / "release" / "codebook.ckpt", weights_only=True),
    )
    table = json.loads((tmp_path / "release" / "synonyms.json").read_text())
    assert file.metadata.synonyms is not None
    assert file.metadata.synonyms[7].tolist() == table["7"]
    assert (file.metadata.stride, file.metadata.combine, file.grid) == (8, "sum", (1, 4, 4))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    codes=st.sampled_from([2, 255, 256, 391, 510]),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    each=st.integers(1, 4),
    dtype=st.sampled_from(["<i8", "<i4", "<u4", ">i8"]),
    block=st.integers(1, 40),
)
def test_an_exported_release_equals_the_imported_one_byte_for_byte(
    codes: int,
    height: int,
    width: int,
    each: int,
    dtype: str,
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    write_release(folder / "a", codes, (height, width), each, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", block)  # escapes and images are split between blocks
        file = open_token_file(converted(folder / "a", folder / "x.safetensors", (height, width)))
    export_release(file, folder / "b")
    assert contents(folder / "a") == contents(folder / "b")


def test_a_single_split_and_labels_without_a_last_line_end_are_exported_alike(
    tmp_path: Path,
) -> None:
    write_release(tmp_path / "a")
    for path in (tmp_path / "a").glob("*-train-*"):
        path.unlink()
    labels = tmp_path / "a" / f"{NAME}-val-label.txt"
    labels.write_text(labels.read_text().rstrip("\n"))
    file = open_token_file(converted(tmp_path / "a", tmp_path / "x.safetensors"))
    assert list(file.tokens) == ["val"]
    export_release(file, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_files_in_another_layout_are_read_and_listed(tmp_path: Path) -> None:
    write_release(tmp_path / "a")
    labels = tmp_path / "a" / f"{NAME}-val-label.txt"
    table = tmp_path / "a" / "synonyms.json"
    labels.write_bytes(labels.read_bytes().replace(b"\n", b"\r\n"))
    table.write_text(json.dumps(json.loads(table.read_text()), indent=1))
    release = read_release(tmp_path / "a")
    assert release.remarks == ["val labels", "synonyms.json"]
    assert release.splits["val"].labels.tolist() == [0, 1, 2, 3] * 3


def test_synonyms_of_unequal_number_are_exported_alike(tmp_path: Path) -> None:
    write_release(tmp_path / "a", codes=3)
    (tmp_path / "a" / "synonyms.json").write_text(json.dumps({"0": [1, 2], "1": [], "2": [0]}))
    export_release(
        open_token_file(converted(tmp_path / "a", tmp_path / "x.safetensors")), tmp_path / "b"
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def edit(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Change the bytes within a gzip."""
    path.write_bytes(packed(change(gzip.decompress(path.read_bytes()))))


def claimed_index() -> bytes:
    """The start of an array in .npy whose header claims 10^12 + 1 offsets."""
    buffer = io.BytesIO()
    claim = {"descr": "<i8", "fortran_order": False, "shape": (10**12 + 1,)}
    np.lib.format.write_array_header_1_0(buffer, claim)
    return buffer.getvalue() + bytes(100)


def lopsided_synonyms() -> str:
    """Synonyms of 391 codes, nearly all of them those of the first."""
    return json.dumps({str(code): [0] * (10**6 if code == 0 else 0) for code in range(391)})


def shift_index(path: Path, at: int, by: int) -> None:
    offsets = np.load(io.BytesIO(gzip.decompress(path.read_bytes())))
    offsets[at] += by
    buffer = io.BytesIO()
    np.save(buffer, offsets)
    path.write_bytes(packed(buffer.getvalue()))


DATA = f"{TRAIN}.data.bin.gz"
INDEX = f"{TRAIN}.index.npy.gz"
LABELS = f"{NAME}-train-label.txt"
DAMAGE = {
    "truncated data": (DATA, truncate, f"{DATA}: truncated or damaged"),
    "no gzip": (DATA, lambda path: path.write_bytes(b"tokens"), f"{DATA}: truncated or damaged"),
    "fewer images": (
        DATA,
        lambda path: edit(path, lambda data: data[:-30]),
        "ends within image 10 of 12",
    ),
    "more images": (
        DATA,
        lambda path: edit(path, lambda data: data + b"\0" * 16),
        "more images than the 12",
    ),
    "a token more": (
        DATA,
        lambda path: edit(path, lambda data: data[:-3] + b"\0" + data[-3:]),
        "goes on after the 12 images",
    ),
    "more in front": (
        DATA,
        lambda path: edit(path, lambda data: b"\0" + data),
        r"image \d+ ends at byte",
    ),
    "two escapes": (
        DATA,
        lambda path: edit(path, lambda data: data[:-40] + b"\xff" * 9 + data[-31:]),
        "code above 509",
    ),
    "truncated index": (INDEX, truncate, f"{INDEX}: not a readable index"),
    "an index of floats": (
        INDEX,
        lambda path: path.write_bytes(packed(np.lib.format.magic(1, 0))),
        "not a readable index",
    ),
    "an index off by one": (INDEX, lambda path: shift_index(path, 5, 1), "image 4 ends at byte"),
    "an index that falls": (
        INDEX,
        lambda path: shift_index(path, 5, -500),
        "do not start at 0 and grow",
    ),
    "too few labels": (
        LABELS,
        lambda path: path.write_text("0\n1\n2\n3\n"),
        "4 labels and an index of 12",
    ),
    "no labels": (LABELS, lambda path: path.unlink(), f"{LABELS}: not a readable list"),
    "a label in words": (
        LABELS,
        lambda path: path.write_text("0\ncat\n"),
        "line 2: 'cat' is not a label",
    ),
    "a label below 0": (LABELS, lambda path: path.write_text("-1\n" * 12), "labels count from 0"),
    "a smaller codebook": (
        "codebook.ckpt",
        lambda path: torch.save(torch.zeros(9, 8), path),
        "synonyms of 9 codes|9 lacks",
    ),
    "no codebook": ("codebook.ckpt", lambda path: path.unlink(), "codebook.ckpt: no such file"),
    "a truncated codebook": ("codebook.ckpt", truncate, "codebook.ckpt: no checkpoint"),
    "a vector": (
        "codebook.ckpt",
        lambda path: torch.save(torch.zeros(9), path),
        "holds no codebook",
    ),
    "strange synonyms": (
        "synonyms.json",
        lambda path: path.write_text(path.read_text().replace("[", "[999, ")),
        "391 lacks",
    ),
    "a label of 5,000 digits": (
        LABELS,
        lambda path: path.write_text("0\n" + "9" * 5000 + "\n"),
        r"line 2: '9{20}\.\.\.' is not a label",
    ),
    "a label of three billion": (
        LABELS,
        lambda path: path.write_text("3000000000\n" * 12),
        "line 1: has the label 3000000000, and a dataset has at most 1,000,000",
    ),
    "an index of a million million": (
        INDEX,
        lambda path: path.write_bytes(packed(claimed_index())),
        "claims 8,000,000,000,008 bytes",
    ),
    "an index whose header is no header": (
        INDEX,
        lambda path: path.write_bytes(packed(claimed_index().replace(b"'", b"((("))),
        "not a readable index",
    ),
    "an expanded zero": (
        "codebook.ckpt",
        lambda path: torch.save(torch.zeros(1).expand(10**5, 10**6), path),
        "100000 x 1000000 that is sparse, expanded",
    ),
    "a sparse codebook": (
        "codebook.ckpt",
        lambda path: torch.save(torch.zeros(391, 8).to_sparse(), path),
        "391 x 8 that is sparse",
    ),
    "infinite synonyms": (
        "synonyms.json",
        lambda path: path.write_text(path.read_text().replace("[", "[Infinity, ", 1)),
        "cannot convert float infinity",
    ),
    "deep synonyms": (
        "synonyms.json",
        lambda path: path.write_text("[" * 200_000),
        "not a table of the synonyms of 391 codes",
    ),
    "synonyms for one code": (
        "synonyms.json",
        lambda path: path.write_text(lopsided_synonyms()),
        "rows of very different length",
    ),
    "no synonyms' table": (
        "synonyms.json",
        lambda path: path.write_text("{"),
        "not a table of the synonyms",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named_and_nothing_is_left(what: str, tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    name, damage, words = DAMAGE[what]
    damage(tmp_path / "release" / name)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match=words) as refused:
        converted(tmp_path / "release", out / "x.safetensors")
    assert "\n" not in str(refused.value)
    assert list(out.iterdir()) == []


def test_a_code_outside_the_codebook_is_named_with_its_image(tmp_path: Path) -> None:
    tokens = write_release(tmp_path / "release")["train"]
    tokens[7, 0, 1, 2] = 400
    write_split(tmp_path / "release", "train", tokens, [0, 1, 2, 3] * 3)
    with pytest.raises(
        UserError, match="train: image 7 has code 400, and the codebook ends at 390"
    ):
        converted(tmp_path / "release", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_pickled_tokenizer_is_refused_with_a_remedy(tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "release" / "codebook.ckpt")
    with pytest.raises(UserError, match=r"pickled object.*not opened.*state_dict\(\)") as refused:
        read_release(tmp_path / "release")
    assert "\n" not in str(refused.value)


def test_a_state_dict_of_one_matrix_is_a_codebook_too(tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    path = tmp_path / "release" / "codebook.ckpt"
    weight = torch.load(path, weights_only=True)
    torch.save({"weight": torch.nn.Parameter(weight)}, path)
    assert torch.equal(read_release(tmp_path / "release").metadata.codebook[0], weight)


def test_grids_that_are_not_square_need_their_sides(tmp_path: Path) -> None:
    write_release(tmp_path / "release", grid=(2, 3))
    with pytest.raises(UserError, match="6 tokens, which are no square; give --grid H W"):
        read_release(tmp_path / "release")
    assert read_release(tmp_path / "release", (2, 3)).grid == (1, 2, 3)


def test_a_folder_with_token_data_is_a_release(tmp_path: Path, fractals: Path) -> None:
    write_release(tmp_path / "release")
    assert is_release(tmp_path / "release")
    assert not is_release(fractals)
    assert not is_release(tmp_path / "absent")
    with pytest.raises(UserError, match="no file NAME-train-token"):
        read_release(fractals)
    with pytest.raises(UserError, match="no such folder"):
        read_release(tmp_path / "absent")


def test_tokens_that_the_format_cannot_represent_are_not_exported(tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    file = open_token_file(converted(tmp_path / "release", tmp_path / "x.safetensors"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(UserError, match="exists already"):
        export_release(file, tmp_path / "there")
    release = read_release(tmp_path / "release")
    wide = replace(release.metadata, codebook=torch.zeros(1, 1024, 8), synonyms=None)
    write_token_file(tmp_path / "wide.safetensors", wide, release.grid, release.splits)
    with pytest.raises(UserError, match=r"1 codes a position, of 1,024.*510 at most"):
        export_release(open_token_file(tmp_path / "wide.safetensors"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_data_are_streamed_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_release(tmp_path / "release", each=50)
    monkeypatch.setattr(stream, "BLOCK", 64)
    sizes = [len(block) for block in read_release(tmp_path / "release").splits["train"].tokens]
    assert sum(sizes) == 200
    assert max(sizes) <= 4


def test_a_code_outside_of_the_codebook_is_named_by_the_users_release_and_not_the_cache(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "release"
    tokens = write_release(folder)
    codebook = torch.load(folder / "codebook.ckpt", weights_only=True)
    used = int(max(split.max() for split in tokens.values()))
    torch.save(codebook[:used].clone(), folder / "codebook.ckpt")
    with pytest.raises(UserError) as error:
        open_release(folder)
    assert str(error.value).startswith(str(folder))


def test_a_converted_release_of_an_earlier_version_is_converted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEIT_CL_CACHE", str(tmp_path / "cache"))
    write_release(tmp_path / "release")
    open_release(tmp_path / "release")
    (cached,) = (tmp_path / "cache" / "releases").glob("*.safetensors")
    whole = cached.read_bytes()
    with safe_open(str(cached), framework="pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    kept = {name: text for name, text in about.items() if not name.startswith("seit_cl.")}
    cached.write_bytes(save(tensors, kept))
    for _ in range(2):
        open_release(tmp_path / "release")
        (line,) = caplog.messages
        assert "without a digest" in line
        assert line.endswith("is converted again")
    assert cached.read_bytes() == whole


HOSTILE_NAMES = ["../up", "/absolute", "a\0b", "NUL", "name. ", "n" * 5000, "..", "", "\\\\host\\x"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_an_export_writes_in_its_folder_alone_whatever_the_token_file_says(
    tmp_path: Path, name: str
) -> None:
    write_release(tmp_path / "release")
    release = read_release(tmp_path / "release")
    notes = {"release": name, "synonyms": name, "val_offsets": "O", "val_labels_end": name}
    for number, about in enumerate([{"name": name, "notes": {}}, {"notes": notes}]):
        inner = tmp_path / f"{number}"
        inner.mkdir()
        hostile = replace(read_release(tmp_path / "release").metadata, **about)  # type: ignore[arg-type]
        splits = read_release(tmp_path / "release").splits
        write_token_file(inner / "x.safetensors", hostile, release.grid, splits)
        export_release(open_token_file(inner / "x.safetensors"), inner / "out")
        assert sorted(p.name for p in inner.iterdir()) == ["out", "x.safetensors"]
        assert len(list((inner / "out").iterdir())) == 8
        assert all(path.is_file() for path in (inner / "out").iterdir())
        assert read_release(inner / "out").splits["val"].labels.tolist() == [0, 1, 2, 3] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "release"]
