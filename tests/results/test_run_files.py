import json
import math

import numpy as np
import pandas as pd
import pytest

from seit_cl.core.errors import UserError
from seit_cl.results import metrics, run_files, summary

CONFIG = {"seed": 3, "strategy": "er", "fill": "during"}
FACTS = dict.fromkeys(run_files.METADATA_NAMES, 1) | {
    "status": "finished",
    "scenario": "s",
    "format": "tokens",
}


def table(cells):
    """(step, experience) -> (correct, total), one class per experience."""
    rows = []
    for (step, j), (correct, total) in cells.items():
        rows += run_files.accuracy_rows(step, j, {f"c{j}": correct}, {f"c{j}": total})
    return pd.DataFrame(rows, columns=list(run_files.ACCURACY_COLUMNS))


UNEVEN = {
    (0, 0): (9, 10),
    (0, 1): (5, 30),
    (0, 2): (1, 60),  # tests of experiences yet to come do not count
    (1, 0): (5, 10),
    (1, 1): (21, 30),
    (1, 2): (0, 60),
    (2, 0): (6, 10),
    (2, 1): (9, 30),
    (2, 2): (48, 60),
}


def test_metrics_by_hand_on_uneven_experiences():
    df = table(UNEVEN)
    nan = math.nan
    want = [[0.9, nan, nan], [0.5, 0.7, nan], [0.6, 0.3, 0.8]]
    np.testing.assert_allclose(metrics.accuracy_matrix(df), want)
    np.testing.assert_allclose(metrics.accuracy_seen(df), [9 / 10, 26 / 40, 63 / 100])
    assert metrics.final_accuracy(df) == pytest.approx(0.63)
    assert metrics.average_incremental_accuracy(df) == pytest.approx((0.9 + 0.65 + 0.63) / 3)
    assert metrics.forgetting(df) == pytest.approx(((0.9 - 0.6) + (0.7 - 0.3)) / 2)
    assert metrics.backward_transfer(df) == pytest.approx(((0.6 - 0.9) + (0.3 - 0.7)) / 2)


def test_forgetting_takes_the_best_step_and_backward_transfer_the_first():
    df = table(
        {
            (0, 0): (2, 10),
            (1, 0): (8, 10),
            (1, 1): (5, 10),
            (2, 0): (6, 10),
            (2, 1): (7, 10),
            (2, 2): (1, 10),
        }
    )
    assert metrics.forgetting(df) == pytest.approx((0.2 + 0.0) / 2)
    assert metrics.backward_transfer(df) == pytest.approx((0.4 + 0.2) / 2)


def test_several_classes_of_one_experience_are_weighed_by_samples():
    rows = run_files.accuracy_rows(0, 0, {"a": 1, "b": 9}, {"a": 1, "b": 19})
    assert metrics.final_accuracy(pd.DataFrame(rows)) == pytest.approx(10 / 20)


@pytest.mark.parametrize(
    "cells", [{(0, 0): (3, 4)}, {(2, 0): (3, 4), (2, 1): (3, 4), (2, 2): (3, 4)}]
)
def test_joint_run_has_accuracy_but_no_forgetting(cells):
    df = table(cells)
    assert metrics.final_accuracy(df) == metrics.average_incremental_accuracy(df) == 0.75
    assert math.isnan(metrics.forgetting(df))
    assert math.isnan(metrics.backward_transfer(df))


def test_steps_that_were_not_tested_are_left_out():
    df = table({k: v for k, v in UNEVEN.items() if k[0] != 1})
    assert math.isnan(metrics.accuracy_seen(df)[1])
    assert metrics.average_incremental_accuracy(df) == pytest.approx((0.9 + 0.63) / 2)
    assert metrics.forgetting(df) == pytest.approx(0.3)  # experience 1 was tested once only
    assert metrics.backward_transfer(df) == pytest.approx(-0.3)


def test_empty_table():
    df = table({})
    assert metrics.accuracy_matrix(df).shape == (0, 0)
    assert all(
        math.isnan(f(df))
        for f in (metrics.final_accuracy, metrics.forgetting, metrics.backward_transfer)
    )


def write(run_dir, facts=FACTS, rows=None, config=CONFIG):
    run_files.start_run(run_dir, config, {"command": "x"})
    run_files.write_accuracy(run_dir, table(UNEVEN).to_dict("records") if rows is None else rows)
    run_files.write_memory(
        run_dir, run_files.memory_rows(0, {"null": 2, "nan": 3}, {"header": 10, "payload": 90})
    )
    if facts:
        run_files.finish_run(run_dir, facts)
    return run_dir


def test_memories_of_results_without_the_option_were_filled_after_each_experience(tmp_path):
    earlier = write(tmp_path / "r", facts=None, config={"seed": 3, "strategy": "er"})
    assert run_files.read_run(earlier).get("fill") == "after"


def test_a_run_is_read_as_it_was_written(tmp_path):
    names = {"nan": 1, "null": 2, 'a, "b"': 3, "007": 4, "ü": 5}
    rows = run_files.accuracy_rows(0, 0, names, dict.fromkeys(names, 9))
    run = run_files.read_run(write(tmp_path / "r", rows=rows))
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
    run = run_files.read_run(write(tmp_path / "r"))
    for name in ("accuracy.csv", "memory.csv"):
        path = tmp_path / "r" / name
        header, _, rows = path.read_text().partition("\n")
        names = ["step", *header.split(",")[1:]]
        path.write_text(",".join(names) + "\n" + rows)
    old = run_files.read_run(tmp_path / "r")
    pd.testing.assert_frame_equal(old.accuracy, run.accuracy)
    pd.testing.assert_frame_equal(old.memory, run.memory)


def test_the_summary_has_the_documented_columns_and_the_values_of_the_run(tmp_path):
    write(tmp_path / "r")
    df = summary.rebuild_summary(tmp_path)
    assert ",".join(df.columns) == (
        "run_id,scenario,dataset,strategy,fill,format,learner,model,tokenizer,memory_bytes,seed,"
        "class_order_seed,test_on,exemplars,classes_covered,used_bytes,payload_bytes,"
        "bytes_per_exemplar,codec_bytes,"
        f"model_bytes,strategy_bytes,steps,{','.join(run_files.FLOPS_COLUMNS)},"
        "final_accuracy,average_incremental_accuracy,"
        "forgetting,backward_transfer,final_task_incremental_accuracy,"
        "average_task_incremental_accuracy,final_top5_accuracy,"
        "average_anytime_accuracy,worst_case_accuracy,"
        "minimum_accuracy,stability_gap,linear_probe_accuracy,train_seconds,device,status"
    )
    assert df.loc[0, "final_accuracy"] == pytest.approx(0.63)
    assert df.loc[0, "status"] == "finished"


def test_summary_is_rebuilt_the_same_and_never_appended_to(tmp_path):
    for name in ("b", "a", "c"):
        write(tmp_path / name)
    summary.rebuild_summary(tmp_path)
    first = (tmp_path / "summary.csv").read_bytes()
    summary.rebuild_summary(tmp_path)
    assert (tmp_path / "summary.csv").read_bytes() == first
    assert [line.split(",")[0] for line in first.decode().splitlines()] == ["run_id", "a", "b", "c"]
    assert list(tmp_path.glob(".*.tmp")) == []


DAMAGE = {
    "config.yaml": ("a: [1", "config.yaml"),
    "facts.json": ('{"status": "fin', "facts.json"),
    "accuracy.csv": ("after_experience,experience,class,correct,total\n0,0,a,", "accuracy.csv"),
    "memory.csv": ("experience,kind\n", "memory.csv"),
    "environment.json": ("[]", "environment.json"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_listed_with_its_problem(tmp_path, name):
    write(tmp_path / "good")
    (write(tmp_path / "bad") / name).write_text(DAMAGE[name][0])
    (tmp_path / "figures").mkdir()
    df = summary.rebuild_summary(tmp_path).set_index("run_id")
    assert df["status"].to_dict() == {"bad": "failed", "good": "finished"}
    run = run_files.read_run(tmp_path / "bad")
    assert DAMAGE[name][1] in run.problem
    assert "\n" not in run.problem


def test_binary_rubbish_and_missing_results_are_tolerated(tmp_path):
    (write(tmp_path / "a") / "accuracy.csv").write_bytes(b"\xff\xfe\x00\x81" * 50)
    (write(tmp_path / "b") / "accuracy.csv").unlink()
    assert set(summary.rebuild_summary(tmp_path)["status"]) == {"failed"}


def test_unfinished_run_takes_what_is_known_from_its_configuration(tmp_path):
    write(tmp_path / "r", facts=None)
    row = summary.rebuild_summary(tmp_path).iloc[0]
    assert row["status"] == "running"
    assert row["strategy"] == "er"
    assert row["seed"] == 3
    assert math.isnan(row["final_accuracy"])
    run_files.write_metadata(tmp_path / "r", {"status": "failed", "scenario": "s"})
    assert summary.rebuild_summary(tmp_path)["status"].tolist() == ["failed"]


def test_duplicate_rows_are_a_problem(tmp_path):
    rows = run_files.accuracy_rows(0, 0, {"a": 1}, {"a": 2})
    assert (
        "same after_experience"
        in run_files.read_run(write(tmp_path / "r", rows=rows + rows)).problem
    )


def test_facts_must_be_complete_and_may_be_numpy(tmp_path):
    with pytest.raises(ValueError, match="dataset"):
        write(tmp_path / "r", facts={k: v for k, v in FACTS.items() if k != "dataset"})
    run_files.finish_run(tmp_path / "r", FACTS | {"exemplars": np.int64(5), "more": [1]})
    assert json.loads((tmp_path / "r" / "facts.json").read_text())["exemplars"] == 5


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml"):
        run_files.read_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        summary.rebuild_summary(tmp_path / "nothing")


def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "f"
    run_files.write_atomic(path, "old")
    with monkeypatch.context() as m:
        m.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            run_files.write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_run_of_an_earlier_version_was_tested_on_the_test_images(tmp_path):
    write(tmp_path / "r")
    assert "test_on" not in FACTS
    assert run_files.read_run(tmp_path / "r").status == "finished"
    assert summary.rebuild_summary(tmp_path).test_on.tolist() == ["test"]


def test_a_run_with_classes_of_any_name_is_read_as_it_was_written(tmp_path):
    names = ["a\rb", "=cmd", "x\n", "\r", "<b>", "-5", '"']
    run_files.start_run(tmp_path / "run", CONFIG, {})
    counts = dict.fromkeys(names, 3)
    run_files.write_accuracy(tmp_path / "run", run_files.accuracy_rows(0, 0, counts, counts))
    run_files.write_memory(tmp_path / "run", run_files.memory_rows(0, counts, {"payload": 9}))
    run_files.finish_run(tmp_path / "run", FACTS)
    run = run_files.read_run(tmp_path / "run")
    assert (run.status, run.problem) == ("finished", "")
    assert list(run.accuracy["class"]) == names
    assert set(run.memory["name"]) == {*names, "payload", "exemplars", "bytes"}
    assert "\n=cmd" not in (tmp_path / "run" / "accuracy.csv").read_text()
