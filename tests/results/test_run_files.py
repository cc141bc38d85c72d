"""Run folders are read as they were written, or with the problem that they have."""

import pandas as pd
import pytest

from helpers.written_runs import CONFIG, FACTS, write_uneven_run
from seit_cl.core.errors import UserError
from seit_cl.results import run_files, run_writer, summary


def test_memories_of_results_without_the_option_were_filled_after_each_experience(tmp_path):
    earlier = write_uneven_run(tmp_path / "r", facts=None, config={"seed": 3, "strategy": "er"})
    assert run_files.read_run(earlier).get("fill") == "after"


def test_a_run_is_read_as_it_was_written(tmp_path):
    names = {"nan": 1, "null": 2, 'a, "b"': 3, "007": 4, "ü": 5}
    rows = run_writer.accuracy_rows(0, 0, names, dict.fromkeys(names, 9))
    run = run_files.read_run(write_uneven_run(tmp_path / "r", rows=rows))
    assert run.run_id == "r"
    assert run.status == "finished"
    assert run.problem == ""
    assert run.metadata == FACTS | {"manifest": True}
    assert run.config == CONFIG
    assert run.environment == {"command": "x"}
    assert run.accuracy.to_dict("records") == rows
    assert run.memory.set_index(["kind", "name"])["value"].to_dict() == {
        ("exemplars", "null"): 2,
        ("exemplars", "nan"): 3,
        ("bytes", "header"): 10,
        ("bytes", "payload"): 90,
        ("total", "exemplars"): 5,
        ("total", "bytes"): 100,
    }


def test_tables_with_the_old_names_of_columns_are_read_as_the_new_ones(tmp_path):
    run = run_files.read_run(write_uneven_run(tmp_path / "r"))
    for name in ("accuracy.csv", "memory.csv"):
        path = tmp_path / "r" / name
        header, _, rows = path.read_text().partition("\n")
        names = ["step", *header.split(",")[1:]]
        path.write_text(",".join(names) + "\n" + rows)
    old = run_files.read_run(tmp_path / "r")
    pd.testing.assert_frame_equal(old.accuracy, run.accuracy)
    pd.testing.assert_frame_equal(old.memory, run.memory)


DAMAGE = {
    "config.yaml": ("a: [1", "config.yaml"),
    "facts.json": ('{"status": "fin', "facts.json"),
    "accuracy.csv": ("after_experience,experience,class,correct,total\n0,0,a,", "accuracy.csv"),
    "memory.csv": ("experience,kind\n", "memory.csv"),
    "environment.json": ("[]", "environment.json"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_listed_with_its_problem(tmp_path, name):
    write_uneven_run(tmp_path / "good")
    (write_uneven_run(tmp_path / "bad") / name).write_text(DAMAGE[name][0])
    (tmp_path / "figures").mkdir()
    df = summary.rebuild_summary(tmp_path).set_index("run_id")
    assert df["status"].to_dict() == {"bad": "failed", "good": "finished"}
    run = run_files.read_run(tmp_path / "bad")
    assert DAMAGE[name][1] in run.problem
    assert "\n" not in run.problem


def test_duplicate_rows_are_a_problem(tmp_path):
    rows = run_writer.accuracy_rows(0, 0, {"a": 1}, {"a": 2})
    assert (
        "same after_experience"
        in run_files.read_run(write_uneven_run(tmp_path / "r", rows=rows + rows)).problem
    )


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml"):
        run_files.read_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        summary.rebuild_summary(tmp_path / "nothing")


def test_a_run_of_an_earlier_version_was_tested_on_the_test_images(tmp_path):
    write_uneven_run(tmp_path / "r")
    assert "test_on" not in FACTS
    assert run_files.read_run(tmp_path / "r").status == "finished"
    assert summary.rebuild_summary(tmp_path).test_on.tolist() == ["test"]


def test_a_run_with_classes_of_any_name_is_read_as_it_was_written(tmp_path):
    names = ["a\rb", "=cmd", "x\n", "\r", "<b>", "-5", '"']
    run_writer.start_run(tmp_path / "run", CONFIG, {})
    counts = dict.fromkeys(names, 3)
    run_writer.write_accuracy(tmp_path / "run", run_writer.accuracy_rows(0, 0, counts, counts))
    run_writer.write_memory(tmp_path / "run", run_writer.memory_rows(0, counts, {"payload": 9}))
    run_writer.finish_run(tmp_path / "run", FACTS)
    run = run_files.read_run(tmp_path / "run")
    assert (run.status, run.problem) == ("finished", "")
    assert list(run.accuracy["class"]) == names
    assert set(run.memory["name"]) == {*names, "payload", "exemplars", "bytes"}
    assert "\n=cmd" not in (tmp_path / "run" / "accuracy.csv").read_text()
