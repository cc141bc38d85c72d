"""The tables' coder has two spellings, "table" and, from earlier versions, "ans": one format."""

from pathlib import Path

import pytest
import torch

from helpers.memory_samples import CONTEXT, load, memory, samples
from seit_cl.command_line import parse
from seit_cl.config import RunConfig
from seit_cl.formats import build_format, canonical_spec
from seit_cl.grid import expand, is_finished, run_folder, run_id
from seit_cl.results import run_files, run_writer

SPELLINGS = ["tokens:coder=table", "tokens:coder=ans"]
EARLIER_FILE = Path(__file__).with_name("memory-coder-ans.bin")  # saved when "ans" was its name


def saved(spec: str, path: Path) -> bytes:
    """The file of the memory that EARLIER_FILE was saved from, its format spelled as in `spec`."""
    buffer = memory(1200, spec)
    buffer.offer(samples(0, [i % 5 for i in range(40)]))
    buffer.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("spec", SPELLINGS)
def test_both_spellings_write_the_memory_file_of_earlier_versions(
    spec: str, tmp_path: Path
) -> None:
    assert saved(spec, tmp_path / "memory.bin") == EARLIER_FILE.read_bytes()


def test_a_memory_file_of_an_earlier_version_loads_and_is_saved_unchanged(tmp_path: Path) -> None:
    buffer = load(EARLIER_FILE)
    assert buffer.fmt.spec == "tokens:coder=table"
    grids = buffer.by_ids(torch.arange(len(buffer))).inputs
    assert len(grids) == 31
    assert set(grids[:, 0, 0, 0].tolist()) <= set(range(40))
    buffer.save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == EARLIER_FILE.read_bytes()


def test_people_read_the_present_spelling() -> None:
    assert {build_format(spec, CONTEXT).spec for spec in SPELLINGS} == {"tokens:coder=table"}
    assert len({canonical_spec(spec) for spec in SPELLINGS}) == 1


def test_both_spellings_are_one_run_of_a_grid() -> None:
    assert len(expand(parse(["--format", *SPELLINGS]))) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("asked", SPELLINGS)
def test_a_run_folder_is_recognised_under_either_spelling(
    spelling: str, asked: str, tmp_path: Path
) -> None:
    config = RunConfig(format=spelling, fill="during")
    run_writer.start_run(tmp_path / run_id(config), config.plain(), {})
    (tmp_path / run_id(config) / "facts.json").write_text(f'{{"format": "{spelling}"}}')
    folder = run_folder(tmp_path, RunConfig(format=asked))
    assert folder == tmp_path / run_id(config)
    assert not is_finished(RunConfig(format=asked), folder)  # and it is not refused
    assert run_files.read_run(folder).get("format") == "tokens:coder=table"


def test_a_run_without_a_folder_gets_one_of_the_spelling_that_was_typed(tmp_path: Path) -> None:
    for spec in SPELLINGS:
        config = RunConfig(format=spec)
        assert run_folder(tmp_path, config) == tmp_path / run_id(config)
