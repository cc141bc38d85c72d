"""The manifest of a finished run: what it does not vouch for is named and left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.damage import damage

from helpers.synthetic_runs import remove_manifest, write_run
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.finished import is_finished
from seit_cl.reporting.loading import gather
from seit_cl.results.manifest import NAME, RESULTS
from seit_cl.results.run_files import read_run
from seit_cl.results.run_writer import finish_run, reopen_run
from seit_cl.results.summary import rebuild_summary


def _cut_at_line_end(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-3]))


def _change_digit(path: Path) -> None:
    text = path.read_text()
    digit = next(i for i in reversed(range(len(text))) if text[i].isdigit())
    path.write_text(f"{text[:digit]}{(int(text[digit]) + 1) % 10}{text[digit + 1 :]}")


@pytest.mark.parametrize("name", ["accuracy.csv", "memory.csv", "facts.json", "config.yaml"])
@pytest.mark.parametrize("harm", [_cut_at_line_end, _change_digit])
def test_a_changed_file_is_named_and_the_run_left_out(
    name: str, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    sound = write_run(tmp_path, seed=0)
    harmed = write_run(tmp_path, seed=1)
    harm(harmed / name)
    run = read_run(harmed)
    assert run.status == "failed"
    assert run.damage.startswith(f"{name}: ")
    gathered = gather([tmp_path])
    assert any(harmed.name in note and name in note for note in gathered.notes)
    table = rebuild_summary(tmp_path).set_index("run_id")
    assert table["status"].to_dict() == {sound.name: "finished", harmed.name: "failed"}
    assert table["final_accuracy"].isna().to_dict() == {sound.name: False, harmed.name: True}


@pytest.mark.parametrize("harm", [Path.unlink, _cut_at_line_end, _change_digit])
def test_a_harmed_or_missing_manifest_is_named(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    run_dir = write_run(tmp_path)
    harm(run_dir / NAME)
    run = read_run(run_dir)
    assert (run.status, run.damage.split(":")[0]) == ("failed", NAME)


def test_no_flip_or_cut_of_any_result_file_is_silent(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    for name in (*RESULTS, NAME):
        path = run_dir / name
        if not path.exists():
            continue
        whole = path.read_bytes()
        for description, data in damage(whole, 12, 4, seed=0):
            path.write_bytes(data)
            run = read_run(run_dir)
            assert run.status == "failed", (name, description)
            assert name in run.problem, (name, description)
        path.write_bytes(whole)
    assert read_run(run_dir).status == "finished"


def test_a_file_that_the_manifest_does_not_list_is_named(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, spec="")
    shutil.copy(run_dir / "accuracy.csv", run_dir / "memory.csv")
    assert read_run(run_dir).damage.startswith("memory.csv: not listed")


def test_a_memory_may_be_deleted_but_not_cut(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    reopened = read_run(run_dir).metadata
    (run_dir / "memory.bin").write_bytes(bytes(100))
    finish_run(run_dir, reopened)
    (run_dir / "memory.bin").write_bytes(bytes(99))
    assert "memory.bin: 99 bytes" in read_run(run_dir).damage
    (run_dir / "memory.bin").unlink()
    assert read_run(run_dir).status == "finished"


def test_a_run_of_an_earlier_version_is_read_with_a_note(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    remove_manifest(run_dir)
    assert read_run(run_dir).status == "finished"
    assert gather([tmp_path]).notes[-1] == (
        f"{run_dir.name}: of an earlier version, without digests; read as they are"
    )


def test_a_harmed_finished_run_is_not_gone_on_with(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    _change_digit(run_dir / "accuracy.csv")
    with pytest.raises(UserError, match=r"accuracy\.csv: changed .* delete the folder") as error:
        is_finished(RunConfig(), run_dir)
    assert len(str(error.value).splitlines()) == 1


def test_a_run_that_starts_again_has_no_manifest(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    reopen_run(run_dir)
    assert not (run_dir / NAME).exists()
    assert read_run(run_dir).status == "running"
