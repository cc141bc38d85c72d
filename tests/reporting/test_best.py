"""The best option of each kind of format."""

import pytest

from helpers.reports import make_report
from helpers.synthetic_runs import write_run
from seit_cl.reporting.best import best_option, distinguishing_options
from seit_cl.results.run_files import read_runs
from seit_cl.results.summary import rebuild_summary


def test_the_best_option_is_chosen_among_those_with_the_most_seeds(tmp_path):
    two_seeds = ("jpeg:quality=5,size=64", "jpeg:quality=75,size=64")
    for spec in two_seeds:
        for seed in (0, 1):
            write_run(tmp_path, spec=spec, seed=seed)
    write_run(tmp_path, spec="jpeg:quality=90,size=64")
    write_run(tmp_path)
    runs = read_runs(tmp_path)
    jpegs = [run for run in runs if run.get("format") != "tokens"]
    means = 100 * rebuild_summary(tmp_path).groupby("format")["final_accuracy"].mean()
    options, mean, _ = best_option(jpegs)
    assert f"jpeg:{options}" in two_seeds
    assert mean == pytest.approx(max(means[spec] for spec in two_seeds))
    assert make_report("best_against_memory", runs) is not None


def test_only_the_options_that_differ_are_named():
    tried = {"quality=5,size=64", "quality=25,size=64"}
    assert distinguishing_options("quality=25,size=64", tried) == "quality=25"
    tried.add("quality=25,size=32")
    assert distinguishing_options("quality=25,size=64", tried) == "quality=25,size=64"
    assert distinguishing_options("quality=25,size=64", {"quality=25,size=64"}) == ""
