"""Plausible run folders, written through the functions that a real run uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seit_cl.data.settings import CLASS_ORDER_SEED
from seit_cl.results import run_files, run_writer
from seit_cl.results.names import CONFUSION_COLUMNS, FLOPS_COLUMNS, LOSS_COLUMNS

RECORD_BYTES = {"jpeg:quality=75,size=64": 2350.0, "tokens": 325.0, "raw": 12290.0}
TRAIN_SAMPLES = 4000
CLASSES = 3  # of an experience
EPOCHS = 4  # of an experience
TESTED = 40  # samples of a class
JOINT_LEVEL = 0.85  # accuracy of joint training
FRESH_LEVEL = 0.8  # accuracy on an experience when it was learnt


def write_run(
    out: Path,
    *,
    strategy: str = "er",
    spec: str = "tokens",
    memory: int = 500_000,
    seed: int = 0,
    order: int = CLASS_ORDER_SEED,
    experiences: int = 5,
    learner: str = "tokens",
    scenario: str = "class-incremental",
    finish: bool = True,
    **metadata: Any,
) -> Path:
    """Write one run.

    Args:
        out: folder of the results.
        strategy: "joint" is tested once, after all experiences.
        spec: of the format; "" for a run without memory.
        memory: budget in bytes.
        seed: of the run.
        order: seed of its class order.
        experiences: number of experiences, of CLASSES classes each.
        learner: tokens or pixels.
        scenario: name of the scenario.
        finish: False leaves out the metadata, so that the run counts as unfinished.
        metadata: values of facts.json that replace the usual ones.

    Returns:
        the run's folder.
    """
    parts = [strategy, spec.replace(":", "_") or "none", str(memory), learner, f"s{seed}"]
    if order != CLASS_ORDER_SEED:
        parts.append(f"o{order}")
    run_dir = out / "-".join(parts)
    config = {
        "scenario": scenario,
        "strategy": strategy,
        "format": spec,
        "memory_mb": memory / 1e6,
        "seed": seed,
        "class_order_seed": order,
    }
    command = ["python", "-m", "seit_cl.run", "--strategy", strategy, "--seed", str(seed)]
    environment = {"command": command, "python": "3.12", "torch": "2.9.0"}
    run_writer.start_run(run_dir, config, environment)
    record = RECORD_BYTES.get(spec, 0.0)
    exemplars = min(int(memory / record), TRAIN_SAMPLES) if record else 0
    numbers = [seed, memory, len(spec), len(strategy)]
    if order != CLASS_ORDER_SEED:
        numbers.append(order)
    random = np.random.default_rng(numbers)
    _write_accuracy(run_dir, strategy == "joint", exemplars, experiences, random)
    _write_losses(run_dir, strategy == "joint", experiences, random)
    if exemplars:
        _write_memory(run_dir, strategy == "joint", exemplars, experiences, record)
    if finish:
        values = {
            "scenario": scenario,
            "dataset": "fractals",
            "strategy": strategy,
            "fill": "after",
            "format": spec,
            "learner": learner,
            "model": "vit_tiny",
            "tokenizer": "bundled",
            "memory_bytes": memory,
            "seed": seed,
            "exemplars": exemplars,
            "classes_covered": CLASSES * experiences if exemplars else 0,
            "used_bytes": int(exemplars * record) + 120 if exemplars else 0,
            "payload_bytes": int(exemplars * (record - 1)),
            "bytes_per_exemplar": record,
            "codec_bytes": 900_000,
            "model_bytes": 22_000_000,
            "strategy_bytes": 0,
            "steps": 500,
            **_flops(strategy, exemplars),
            "train_seconds": 61.5,
            "device": "cpu",
        }
        run_writer.finish_run(run_dir, values | metadata)
    return run_dir


def remove_manifest(run_dir: Path) -> None:
    """Turn a finished run into one of a version that wrote no manifest."""
    metadata = run_files.read_run(run_dir).metadata
    metadata.pop("manifest")
    run_writer.reopen_run(run_dir)
    run_writer.write_metadata(run_dir, metadata)


def _flops(strategy: str, exemplars: int) -> dict[str, int]:
    """FLOPs of a run: more with a strategy that adds some, and for exemplars to be tokenized."""
    values = dict.fromkeys(FLOPS_COLUMNS, 0)
    values["flops_training"] = 3 * 10**13
    values["flops_strategy"] = len(strategy) * 10**12
    values["flops_decoding"] = exemplars * 10**8
    values["flops_testing"] = 10**13
    values["flops_total"] = sum(values.values())
    return values


def _tests(joint: bool, experiences: int) -> range:
    """Indices of the experiences after which a run is tested."""
    return range(experiences - 1 if joint else 0, experiences)


def _write_accuracy(
    run_dir: Path, joint: bool, exemplars: int, experiences: int, random: np.random.Generator
) -> None:
    """Write accuracies that fall with the age of an experience, less with more exemplars."""
    retention = min(0.95, 0.1 * np.log2(1 + exemplars / 20))
    rows: list[dict[str, Any]] = []
    for learnt in _tests(joint, experiences):
        for experience in range(experiences):
            if experience > learnt:
                level = 0.0
            elif joint:
                level = JOINT_LEVEL
            else:
                level = FRESH_LEVEL * retention ** (learnt - experience)
            correct = {}
            for name in _class_names(experience, experience + 1):
                correct[name] = int(random.binomial(TESTED, level))
            total = dict.fromkeys(correct, TESTED)
            within = {name: (2 * count + TESTED) // 3 for name, count in correct.items()}
            in_top = {name: (count + 2 * TESTED) // 3 for name, count in correct.items()}
            rows += run_writer.accuracy_rows(learnt, experience, correct, total, within, in_top)
    run_writer.write_accuracy(run_dir, rows)
    _write_confusion(run_dir, rows)


def _write_confusion(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Write answers of the last test, of which the wrong ones are the latest class."""
    last = [row for row in rows if row["after_experience"] == rows[-1]["after_experience"]]
    answers = []
    for row in last:
        latest = last[-1]["class"] if row is not last[-1] else last[0]["class"]
        counts = {row["class"]: row["correct"], latest: row["total"] - row["correct"]}
        answers += [(row["class"], name, count) for name, count in counts.items() if count]
    table = pd.DataFrame(answers, columns=list(CONFUSION_COLUMNS))
    run_writer.write_confusion(run_dir, table)


def _write_losses(
    run_dir: Path, joint: bool, experiences: int, random: np.random.Generator
) -> None:
    """Write losses that fall in each experience."""
    rows = []
    for experience in range(1 if joint else experiences):
        for epoch in range(EPOCHS):
            loss = float((1 + random.random()) / (1 + epoch))
            rows.append((experience, epoch, 10, loss))
    run_writer.write_losses(run_dir, pd.DataFrame(rows, columns=list(LOSS_COLUMNS)))


def _write_memory(
    run_dir: Path, joint: bool, exemplars: int, experiences: int, record: float
) -> None:
    """Write a memory that holds as many exemplars of every class seen."""
    rows: list[dict[str, Any]] = []
    for learnt in _tests(joint, experiences):
        names = _class_names(0, learnt + 1)
        counts = dict.fromkeys(names, exemplars // len(names))
        sizes = {"header": 120, "labels": exemplars, "payload": int(exemplars * (record - 1))}
        rows += run_writer.memory_rows(learnt, counts, sizes)
    run_writer.write_memory(run_dir, rows)


def _class_names(first: int, end: int) -> list[str]:
    """The names of the classes of experiences from `first` to before `end`."""
    return [f"class {i}" for i in range(CLASSES * first, CLASSES * end)]


def write_grid(
    out: Path, formats: tuple[str, ...] = ("jpeg:quality=75,size=64", "tokens"), **options: Any
) -> None:
    """Write formats x 3 budgets x 2 seeds, and the naive and joint bounds for both seeds."""
    for seed in (0, 1):
        for spec in formats:
            for memory in (100_000, 500_000, 2_000_000):
                write_run(out, spec=spec, memory=memory, seed=seed, **options)
        for strategy in ("naive", "joint"):
            write_run(out, strategy=strategy, spec="", memory=0, seed=seed)
