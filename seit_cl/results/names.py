"""Names in the folder of a run: columns of its tables, values of its metadata, and its states.

Accuracies are fractions, sizes are bytes.
"""

from __future__ import annotations

import math
from typing import Any

from seit_cl.results.anytime import ANYTIME_METRICS
from seit_cl.results.metrics import METRICS, TOP5, WITHIN

# By kind of work (seit_cl.core.flops), and their sum.
FLOPS_COLUMNS = (
    "flops_training",
    "flops_strategy",
    "flops_tokenizing",
    "flops_decoding",
    "flops_encoding",
    "flops_selection",
    "flops_testing",
    "flops_total",
)
SUMMARY_COLUMNS = (
    "run_id",
    "scenario",
    "dataset",
    "strategy",
    "fill",
    "format",
    "learner",
    "model",
    "tokenizer",
    "memory_bytes",
    "seed",
    "class_order_seed",
    "test_on",
    "exemplars",
    "classes_covered",
    "used_bytes",
    "payload_bytes",
    "bytes_per_exemplar",
    "codec_bytes",
    "model_bytes",
    "strategy_bytes",
    "steps",
    *FLOPS_COLUMNS,
    *METRICS,
    *ANYTIME_METRICS,
    "linear_probe_accuracy",
    "train_seconds",
    "device",
    "status",
)
# Columns that runs of earlier versions lack, with the value that all of them had; None: unknown.
YOUNGER_COLUMNS: dict[str, Any] = {
    "class_order_seed": 1993,
    "test_on": "test",
    "linear_probe_accuracy": math.nan,
    **dict.fromkeys(FLOPS_COLUMNS),
}
_NO_METADATA = ("run_id", *METRICS, *ANYTIME_METRICS, *YOUNGER_COLUMNS)
METADATA_NAMES = tuple(name for name in SUMMARY_COLUMNS if name not in _NO_METADATA)
ACCURACY_COLUMNS = ("after_experience", "experience", "class", "correct", "total")
OPTIONAL_COLUMNS = (WITHIN, TOP5)  # of accuracy.csv, behind the others
MEMORY_COLUMNS = ("experience", "kind", "name", "value")
CONFUSION_COLUMNS = ("class", "predicted", "count")
LOSS_COLUMNS = ("experience", "epoch", "steps", "loss")
CHECKPOINT = "checkpoint.pt"  # of an unfinished run
STATUSES = ("finished", "running", "failed")
