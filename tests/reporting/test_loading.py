"""Runs of one or several result folders."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from helpers.synthetic_runs import remove_manifest, write_run
from seit_cl import report
from seit_cl.core.errors import UserError
from seit_cl.reporting.build import build_report
from seit_cl.reporting.loading import gather
from seit_cl.results.manifest import write_manifest
from seit_cl.results.run_files import read_run


def change(run_dir: Path, name: str, old: str, new: str) -> None:
    """Replace a text in a file of a run, which is as if it had been written so."""
    path = run_dir / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    write_manifest(run_dir)


def other_answers(run_dir: Path) -> None:
    """Remove one correct answer from a run."""
    lines = (run_dir / "accuracy.csv").read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if i and int(line.split(",")[3]) > 0)
    cells = lines[row].split(",")
    cells[3] = str(int(cells[3]) - 1)
    lines[row] = ",".join(cells)
    (run_dir / "accuracy.csv").write_text("\n".join(lines) + "\n")
    write_manifest(run_dir)


def test_several_folders_become_one_comparison(tmp_path, capsys):
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1)
    write_run(tmp_path / "b", seed=0, spec="jpeg:quality=75,size=64")
    report.main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "both")])
    summary = (tmp_path / "both" / "summary.csv").read_text().splitlines()
    assert len(summary) == 4
    assert summary[0].endswith(",folder")
    assert not (tmp_path / "a" / "report.html").exists()
    assert "| er | tokens | 0.5 | 2 |" in (tmp_path / "both" / "tables" / "summary.md").read_text()


def test_without_out_the_report_goes_to_the_first_folder_with_runs(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "a")
    report.main([str(tmp_path / "empty"), str(tmp_path / "a")])
    assert (tmp_path / "a" / "report.html").is_file()
    assert not list((tmp_path / "empty").iterdir())
    assert "note: " in capsys.readouterr().out


def test_a_run_that_is_in_two_folders_with_the_same_results_counts_once(tmp_path):
    run_dir = write_run(tmp_path / "a")
    shutil.copytree(run_dir, tmp_path / "b" / run_dir.name)
    change(
        tmp_path / "b" / run_dir.name,
        "facts.json",
        '"train_seconds": 61.5',
        '"train_seconds": 50.0',
    )  # another machine
    gathered = gather([tmp_path / "a", tmp_path / "b"])
    assert len(gathered.runs) == 1
    assert gathered.notes == [f"{run_dir.name}: the same results in a and in b; counted once"]


def test_the_same_folder_twice_is_one_folder(tmp_path):
    write_run(tmp_path / "a")
    gathered = gather([tmp_path / "a", tmp_path / "b" / ".." / "a"])
    assert len(gathered.runs) == 1
    assert gathered.notes == []
    assert len(gathered.folders) == 1


def test_runs_of_the_same_options_and_seed_with_different_results_are_kept_apart_by_folder(
    tmp_path,
):
    for name in ("a", "b"):
        for seed in (0, 1):
            write_run(tmp_path / name, seed=seed)
        write_run(tmp_path / name, spec="raw")
    for run_dir in (tmp_path / "b").glob("er-tokens-*-s0"):
        other_answers(run_dir)
    gathered = gather([tmp_path / "a", tmp_path / "b"])
    tokens = [run for run in gathered.runs if run.get("format") == "tokens"]
    assert sorted((run.variant, run.run_id) for run in tokens) == [
        ("in a", "a/er-tokens-500000-tokens-s0"),
        ("in a", "er-tokens-500000-tokens-s1"),
        ("in b", "b/er-tokens-500000-tokens-s0"),
    ]
    (raw,) = [run for run in gathered.runs if run.get("format") == "raw"]
    assert raw.variant == ""
    note = "different results in a and in b; both kept, told apart by folder"
    assert f"er-tokens-500000-tokens-s0: {note}" in gathered.notes


def test_a_contradicting_copy_in_one_folder_is_left_out_and_named(tmp_path):
    run_dir = write_run(tmp_path)
    shutil.copytree(run_dir, tmp_path / "zz-copy")
    other_answers(tmp_path / "zz-copy")
    gathered = gather([tmp_path])
    assert [run.run_id for run in gathered.runs] == [run_dir.name]
    (note,) = gathered.notes
    assert note.startswith("zz-copy: left out")
    assert run_dir.name in note


def test_runs_of_other_options_are_told_apart_by_them_even_with_other_seeds(tmp_path):
    for name, epochs, seed in (("a", 5, 0), ("b", 10, 1)):
        run_dir = write_run(tmp_path / name, seed=seed)
        config = yaml.safe_load((run_dir / "config.yaml").read_text())
        (run_dir / "config.yaml").write_text(
            yaml.safe_dump(config | {"epochs": epochs, "data_root": f"/{name}"})
        )
        write_manifest(run_dir)
    assert [run.variant for run in gather([tmp_path / "a", tmp_path / "b"]).runs] == [
        "epochs=5",
        "epochs=10",
    ]


def test_an_option_that_older_runs_did_not_record_has_its_default(tmp_path):
    write_run(tmp_path / "a", seed=0)
    run_dir = write_run(tmp_path / "b", seed=1)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config | {"epochs": 10, "class_order": []}))
    write_manifest(run_dir)
    assert {run.variant for run in gather([tmp_path / "a", tmp_path / "b"]).runs} == {""}


def test_two_datasets_of_one_name_are_told_apart(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run_dir = write_run(tmp_path / name, seed=seed)
        change(run_dir, "environment.json", "{", f'{{"dataset_identity": "{name * 16}",')
    assert [run.variant for run in gather([tmp_path / "a", tmp_path / "b"]).runs] == [
        "images=aaaaaa",
        "images=bbbbbb",
    ]


def test_bad_folders_are_named_and_the_rest_is_reported(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    gathered = gather(
        [tmp_path / "a", tmp_path / "empty", tmp_path / "absent", next((tmp_path / "a").iterdir())]
    )
    assert len(gathered.runs) == 1
    assert len(gathered.notes) == 3
    assert all("\n" not in note for note in gathered.notes)
    with pytest.raises(UserError, match="empty: no runs"):
        gather([tmp_path / "empty", tmp_path / "absent"])


def test_results_of_another_version_are_named_and_shown(tmp_path):
    run_dir = write_run(tmp_path)
    change(run_dir, "environment.json", "{", '{"seit_cl": "9.9",')
    gathered = gather([tmp_path])
    assert [run.status for run in gathered.runs] == ["finished"]
    assert gathered.notes[0].startswith(f"{run_dir.name}: made by seit_cl 9.9, this is ")


def test_facts_of_another_version_make_a_failed_run_with_a_line(tmp_path):
    run_dir = write_run(tmp_path)
    change(run_dir, "facts.json", '"bytes_per_exemplar"', '"size_of_record"')
    run = read_run(run_dir)
    assert run.status == "failed"
    assert run.problem == "facts.json: no bytes_per_exemplar; results of another version?"


@pytest.mark.parametrize("name", ["accuracy.csv", "memory.csv"])
@pytest.mark.parametrize("share", [0.5, 0.93, 0.999])
def test_a_half_written_table_makes_a_failed_run_and_the_rest_is_reported(tmp_path, name, share):
    damaged = write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=0)
    written = (damaged / name).read_bytes()
    (damaged / name).write_bytes(written[: int(share * len(written))])
    page = build_report(tmp_path).read_text()
    assert "1 failed" in page
    assert name in page
    assert "| er | tokens | 0.5 | 1 |" in (tmp_path / "tables" / "summary.md").read_text()


def test_a_table_cut_between_two_lines_is_detected_without_a_manifest(tmp_path):
    run_dir = write_run(tmp_path)
    remove_manifest(run_dir)
    lines = (run_dir / "accuracy.csv").read_text().splitlines(keepends=True)
    (run_dir / "accuracy.csv").write_text("".join(lines[:-13]))
    assert (
        read_run(run_dir).problem
        == "accuracy.csv: the test after experience 4 lacks 13 of 15 classes: half-written"
    )


def test_a_folder_with_results_but_no_configuration_is_named(tmp_path):
    write_run(tmp_path)
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "facts.json").write_text("{}")
    assert gather([tmp_path]).notes == [
        f"{(tmp_path / 'stray').resolve()}: no config.yaml, so it is left out"
    ]


def test_a_folder_of_folders_of_runs_names_the_newest(tmp_path):
    for name, age in (("old", 100), ("new", 0)):
        write_run(tmp_path / name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    with pytest.raises(UserError, match=rf"2 below it have some, the newest is .*{os.sep}new$"):
        gather([tmp_path])
