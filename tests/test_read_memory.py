"""examples/read_memory.py reads memories without seit_cl, from the layout in docs/memory.md."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import levelled_samples
from helpers.memory_samples import CONTEXT, FIELDS, TinySource, extras, samples
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats.jpeg_scan import header as scan_header
from seit_cl.memory import ByteBudgetBuffer

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "read_memory.py"
read_memory = runpy.run_path(str(SCRIPT))["read_memory"]
IMAGE_FORMATS = ["raw", "jpeg", "jpeg_scan:quality=30", "jpeg_scan:size=8,chroma=444", "png"]


def filled(spec: str, context: FormatContext = CONTEXT, **options: Any) -> ByteBudgetBuffer:
    """A memory of 8 kB with 60 samples of all classes offered, most of which do not fit."""
    memory = ByteBudgetBuffer(8000, build_format(spec, context), context, **options)
    offered = samples(0, [i * 7 % context.classes for i in range(60)])
    fields = extras(0, 60) if memory.exemplar_fields else None
    memory.offer(offered, fields)
    return memory


def check(memory: ByteBudgetBuffer, path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Compare what the script reads with the memory, exemplar by exemplar but for the inputs."""
    memory.save(path)
    header, labels, fields, exemplars = read_memory(str(path))
    stored = memory.by_ids(torch.arange(len(memory)))
    assert header["count"] == len(exemplars) == len(memory) > 0
    assert header["budget"] == memory.budget_bytes
    assert header["policy"] == memory.policy
    assert labels.tolist() == stored.labels.tolist()
    assert set(fields) == set(stored.extras)
    for name, values in fields.items():
        assert values.tolist() == stored.extras[name].tolist()
    return header, exemplars


@pytest.mark.parametrize("spec", IMAGE_FORMATS)
def test_every_image_comes_back(spec: str, tmp_path: Path) -> None:
    memory = filled(spec)
    _, exemplars = check(memory, tmp_path / "memory.bin")
    inputs = memory.by_ids(torch.arange(len(memory))).inputs.numpy()
    for read, stored in zip(exemplars, inputs, strict=True):
        if "size=8" in spec:
            assert read.shape == (3, 8, 8)
        else:
            assert np.array_equal(read, stored)


@pytest.mark.parametrize("codes", [2, 200, 1024, 1 << 15])
@pytest.mark.parametrize("grid", [(1, 4, 4), (2, 3, 3)])
def test_every_packed_token_comes_back(
    codes: int, grid: tuple[int, int, int], tmp_path: Path
) -> None:
    class Source(TinySource):
        def tokens(self, ids: torch.Tensor) -> torch.Tensor:
            random = torch.Generator().manual_seed(int(ids[0]))
            return torch.randint(codes, (len(ids), *grid), generator=random).to(torch.int16)

    context = FormatContext(16, 300, codes, grid, "test")  # labels of two bytes
    memory = ByteBudgetBuffer(2500, build_format("tokens", context), context)
    ids = torch.arange(100)
    memory.offer(Samples(ids, ids * 2, Source()))
    _, exemplars = check(memory, tmp_path / "memory.bin")
    inputs = memory.by_ids(torch.arange(len(memory))).inputs
    assert np.array_equal(np.stack(exemplars), inputs.numpy())


@pytest.mark.parametrize("score", ["rarity", "even"])
def test_kept_positions_come_back_in_order(score: str, tmp_path: Path) -> None:
    _, exemplars = check(filled(f"tokens:keep=0.4,score={score}"), tmp_path / "memory.bin")
    memory = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    for read, stored in zip(
        exemplars, memory.by_ids(torch.arange(len(memory))).inputs, strict=True
    ):
        assert np.array_equal(read, stored[stored >= 0].reshape(1, -1).numpy())


def test_exemplars_that_were_cut_have_fewer_levels(tmp_path: Path) -> None:
    memory = levelled_samples.memory(700)
    memory.offer(levelled_samples.samples(0, [i % 5 for i in range(40)]))
    header, exemplars = check(memory, tmp_path / "memory.bin")
    inputs = memory.by_ids(torch.arange(len(memory))).inputs
    levels = levelled_samples.levels_of(inputs).tolist()
    assert header["flags"] & 4
    assert len(set(levels)) > 1
    for read, stored, there in zip(exemplars, inputs.numpy(), levels, strict=True):
        assert np.array_equal(read, stored[:there])


@pytest.mark.parametrize("policy", ["class-balanced", "reservoir"])
def test_fields_counters_and_a_limit_come_back(policy: str, tmp_path: Path) -> None:
    memory = filled("tokens", policy=policy, exemplar_fields=FIELDS, max_exemplars=9, seed=5)
    header, exemplars = check(memory, tmp_path / "memory.bin")
    assert len(exemplars) == header["limit"] == 9
    assert header["seed"] == 5
    assert header["offered"] == 60
    assert header["flags"] & 1
    assert header["counters"].tolist() == memory.selection.counters().tolist()


def test_a_chosen_quality_is_read_from_the_side_information(tmp_path: Path) -> None:
    memory = ByteBudgetBuffer(8000, build_format("jpeg_scan:quality=auto", CONTEXT), CONTEXT)
    offered = samples(0, [i % 5 for i in range(60)])
    memory.fit(offered, lambda pixels: pixels.flatten(1).float())
    memory.offer(offered)
    _, exemplars = check(memory, tmp_path / "memory.bin")
    inputs = memory.by_ids(torch.arange(len(memory))).inputs.numpy()
    assert np.array_equal(np.stack(exemplars), inputs)


def test_entropy_coded_tokens_are_left_as_they_are(tmp_path: Path) -> None:
    memory = filled("tokens:coder=context")
    _, exemplars = check(memory, tmp_path / "memory.bin")
    assert sum(map(len, exemplars)) == memory.payload_bytes


def test_the_page_has_the_header_of_scans() -> None:
    """docs/memory.md gives the number of bytes before a scan."""
    page = (SCRIPT.parent.parent / "docs" / "memory.md").read_text()
    assert f"{len(scan_header(25, 64, 420))} bytes" in page


@pytest.mark.parametrize("place", [0, 7, 8, 12, 40, 150, -1])
def test_a_flipped_bit_is_refused(place: int, tmp_path: Path) -> None:
    path = tmp_path / "memory.bin"
    filled("jpeg").save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_memory(str(path))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.bin"
    filled("raw").save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        read_memory(str(path))


def test_the_script_imports_nothing_of_ours() -> None:
    tree = ast.parse(SCRIPT.read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            modules.add(str(node.module))
    assert modules - set(sys.stdlib_module_names) == {"numpy", "PIL"}
