"""A run folder with a few answers that can be computed by hand."""

import pandas as pd

from seit_cl.results import run_writer
from seit_cl.results.names import ACCURACY_COLUMNS, METADATA_NAMES

CONFIG = {"seed": 3, "strategy": "er", "fill": "during"}


FACTS = dict.fromkeys(METADATA_NAMES, 1) | {
    "status": "finished",
    "scenario": "s",
    "format": "tokens",
}


def accuracy_table(cells):
    """Make rows of (step, experience) -> (correct, total), one class per experience."""
    rows = []
    for (step, j), (correct, total) in cells.items():
        rows += run_writer.accuracy_rows(step, j, {f"c{j}": correct}, {f"c{j}": total})
    return pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS))


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


def write_uneven_run(run_dir, facts=FACTS, rows=None, config=CONFIG):
    """Write a run folder: finished, or without facts as it is while the run is made."""
    run_writer.start_run(run_dir, config, {"command": "x"})
    run_writer.write_accuracy(
        run_dir, accuracy_table(UNEVEN).to_dict("records") if rows is None else rows
    )
    run_writer.write_memory(
        run_dir, run_writer.memory_rows(0, {"null": 2, "nan": 3}, {"header": 10, "payload": 90})
    )
    if facts:
        run_writer.finish_run(run_dir, facts)
    return run_dir
