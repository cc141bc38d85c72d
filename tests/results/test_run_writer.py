"""The files at the end of a run are complete, and those written at its start stay."""

import json

import numpy as np
import pytest

from helpers.written_runs import FACTS, write_uneven_run
from seit_cl.core.errors import UserError
from seit_cl.results import run_writer


def test_facts_must_be_complete_and_may_be_numpy(tmp_path):
    with pytest.raises(ValueError, match="dataset"):
        write_uneven_run(tmp_path / "r", facts={k: v for k, v in FACTS.items() if k != "dataset"})
    run_writer.finish_run(tmp_path / "r", FACTS | {"exemplars": np.int64(5), "more": [1]})
    assert json.loads((tmp_path / "r" / "facts.json").read_text())["exemplars"] == 5


def test_a_file_of_the_start_that_was_changed_is_named(tmp_path):
    folder = write_uneven_run(tmp_path / "r", facts=None)
    digests = run_writer.digests_of_start(folder)
    run_writer.check_unchanged(folder, digests)
    (folder / "environment.json").write_text("{}")
    with pytest.raises(UserError, match=r"environment\.json: missing or changed"):
        run_writer.check_unchanged(folder, digests)
