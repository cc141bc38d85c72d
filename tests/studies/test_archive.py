"""Archive of published runs: what is packed gives back every metric, and contradictions show."""

from pathlib import Path

import pandas as pd
import pytest

from helpers.synthetic_runs import write_run
from seit_cl.core.errors import UserError
from seit_cl.results.manifest import write_manifest
from seit_cl.results.metrics import WITHIN, forgetting
from seit_cl.results.run_files import read_runs
from studies import archive

PUBLISHED = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two finished runs, and one that is not finished."""
    folder = tmp_path / "runs"
    write_run(folder, memory=100_000)
    write_run(folder, strategy="joint", spec="", memory=0)
    write_run(folder, seed=1, finish=False)
    return folder


def test_every_row_of_a_packed_run_comes_back(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    (note,) = archive.pack([runs], out)
    accuracies = archive.read_accuracies(archive.accuracy_path(out))
    finished = [run for run in read_runs(runs) if run.status == "finished"]
    assert "s1: left out, running" in note
    assert list(accuracies) == [run.run_id for run in finished]
    for run in finished:
        pd.testing.assert_frame_equal(
            accuracies[run.run_id], run.accuracy, check_dtype=False, check_exact=True
        )
    assert archive.problems(out) == []


def test_runs_with_and_without_answers_within_experiences_go_together(
    runs: Path, tmp_path: Path
) -> None:
    other = write_run(runs, seed=2)
    rows = pd.read_csv(other / "accuracy.csv")
    rows[WITHIN] = rows["correct"]
    rows.to_csv(other / "accuracy.csv", index=False)
    write_manifest(other)
    out = tmp_path / "packed"
    archive.pack([runs], out)
    accuracies = archive.read_accuracies(archive.accuracy_path(out))
    assert WITHIN in accuracies[other.name]
    assert archive.problems(out) == []


def test_a_plain_csv_reader_is_enough_to_derive_forgetting(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    archive.pack([runs], out)
    table = pd.read_csv(archive.accuracy_path(out))
    for run in read_runs(runs):
        if run.status == "finished" and run.get("strategy") == "er":
            assert forgetting(table[table["run_id"] == run.run_id]) == forgetting(run.accuracy)


def test_the_summary_names_the_options_in_which_runs_differ(tmp_path: Path) -> None:
    for number in (5, 20):
        folder = tmp_path / f"epochs{number}"
        run = write_run(folder)
        config = run / "config.yaml"
        config.write_text(f"{config.read_text()}epochs: {number}\ndata_root: {folder}\n")
        write_manifest(run)
    out = tmp_path / "packed"
    archive.pack([tmp_path / "epochs5", tmp_path / "epochs20"], out)
    summary = archive.read_summary(archive.summary_path(out))
    assert summary["epochs"].tolist() == [5, 20]
    assert "data_root" not in summary
    assert [name.split("/")[0] for name in summary.index] == ["epochs5", "epochs20"]


def test_a_published_number_that_the_rows_do_not_give_is_named(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    archive.pack([runs], out)
    summary = archive.read_summary(archive.summary_path(out))
    summary.loc[summary.index[0], "final_accuracy"] += 1e-6
    summary.drop(index=summary.index[1]).to_csv(archive.summary_path(out))
    missing, changed = archive.problems(out)
    assert "in the packed accuracies only" in missing
    assert "final_accuracy is published as" in changed


def test_a_damaged_archive_or_one_of_nothing_is_refused(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    with pytest.raises(UserError, match="no finished run"):
        archive.pack([tmp_path], out)
    with pytest.raises(UserError, match="pack runs first"):
        archive.problems(out)
    archive.pack([runs], out)
    content = archive.accuracy_path(out).read_bytes()
    archive.accuracy_path(out).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        archive.problems(out)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*-accuracy.csv.xz")), ids=lambda p: p.name)
def test_every_published_summary_follows_from_its_packed_accuracies(path: Path) -> None:
    out = path.with_name(path.name.removesuffix("-accuracy.csv.xz"))
    assert archive.problems(out) == []
