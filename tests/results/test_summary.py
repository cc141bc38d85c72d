"""summary.csv has a row for each run folder, whatever its state."""

import math

import pytest

from helpers.written_runs import write_uneven_run
from seit_cl.results import run_writer, summary
from seit_cl.results.names import FLOPS_COLUMNS


def test_the_summary_has_the_documented_columns_and_the_values_of_the_run(tmp_path):
    write_uneven_run(tmp_path / "r")
    df = summary.rebuild_summary(tmp_path)
    assert ",".join(df.columns) == (
        "run_id,scenario,dataset,strategy,fill,format,learner,model,tokenizer,memory_bytes,seed,"
        "class_order_seed,test_on,exemplars,classes_covered,used_bytes,payload_bytes,"
        "bytes_per_exemplar,codec_bytes,"
        f"model_bytes,strategy_bytes,steps,{','.join(FLOPS_COLUMNS)},"
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
        write_uneven_run(tmp_path / name)
    summary.rebuild_summary(tmp_path)
    first = (tmp_path / "summary.csv").read_bytes()
    summary.rebuild_summary(tmp_path)
    assert (tmp_path / "summary.csv").read_bytes() == first
    assert [line.split(",")[0] for line in first.decode().splitlines()] == ["run_id", "a", "b", "c"]
    assert list(tmp_path.glob(".*.tmp")) == []


def test_binary_rubbish_and_missing_results_are_tolerated(tmp_path):
    (write_uneven_run(tmp_path / "a") / "accuracy.csv").write_bytes(b"\xff\xfe\x00\x81" * 50)
    (write_uneven_run(tmp_path / "b") / "accuracy.csv").unlink()
    assert set(summary.rebuild_summary(tmp_path)["status"]) == {"failed"}


def test_unfinished_run_takes_what_is_known_from_its_configuration(tmp_path):
    write_uneven_run(tmp_path / "r", facts=None)
    row = summary.rebuild_summary(tmp_path).iloc[0]
    assert row["status"] == "running"
    assert row["strategy"] == "er"
    assert row["seed"] == 3
    assert math.isnan(row["final_accuracy"])
    run_writer.write_metadata(tmp_path / "r", {"status": "failed", "scenario": "s"})
    assert summary.rebuild_summary(tmp_path)["status"].tolist() == ["failed"]
