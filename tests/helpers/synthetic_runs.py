"""Plausible run folders, written through the functions that a real run uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seit_cl.results import run_files

RECORD_BYTES = {"jpeg:quality=75,size=64": 2350.0, "tokens": 325.0, "raw": 12290.0}
TRAIN_SAMPLES = 4000


def write_run(
    out: Path,
    *,
    strategy: str = "er",
    spec: str = "tokens",
    memory: int = 500_000,
    seed: int = 0,
    experiences: int = 5,
    learner: str = "tokens",
    scenario: str = "class-incremental",
    finish: bool = True,
    **facts: Any,
) -> Path:
    """One run of `experiences` experiences with 3 classes of 40 test samples each; strategy "joint" has one step."""
    run_dir = out / "-".join(
        [strategy, spec.replace(":", "_") or "none", str(memory), learner, f"s{seed}"]
    )
    config = {
        "scenario": scenario,
        "strategy": strategy,
        "format": spec,
        "memory_mb": memory / 1e6,
        "seed": seed,
    }
    command = ["python", "-m", "seit_cl.run", "--strategy", strategy, "--seed", str(seed)]
    run_files.start_run(run_dir, config, {"command": command, "python": "3.12", "torch": "2.9.0"})
    record = RECORD_BYTES.get(spec, 0.0)
    room = int(memory / record) if record else 0
    kept = min(room, TRAIN_SAMPLES)
    random = np.random.default_rng([seed, memory, len(spec), len(strategy)])
    accuracy: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    last = experiences - 1
    for step in [last] if strategy == "joint" else range(experiences):
        for j in range(experiences):
            names = [f"class {3 * j + k}" for k in range(3)]
            stay = 1.0 if strategy == "joint" else min(0.95, 0.1 * np.log2(1 + kept / 20))
            level = (
                0.8 * stay ** (step - j)
                if j <= step and strategy != "joint"
                else 0.85 * (j <= step)
            )
            correct = {name: int(random.binomial(40, min(level, 1.0))) for name in names}
            accuracy += run_files.accuracy_rows(step, j, correct, dict.fromkeys(names, 40))
        if kept:
            held = {f"class {k}": kept // (3 * (step + 1)) for k in range(3 * (step + 1))}
            sizes = {"header": 120, "labels": kept, "payload": int(kept * (record - 1))}
            content += run_files.memory_rows(step, held, sizes)
    run_files.write_accuracy(run_dir, accuracy)
    if kept:
        run_files.write_memory(run_dir, content)
    known = {
        "scenario": scenario,
        "dataset": "fractals",
        "strategy": strategy,
        "format": spec,
        "learner": learner,
        "model": "vit_tiny",
        "tokenizer": "bundled",
        "memory_bytes": memory,
        "seed": seed,
        "exemplars": kept,
        "classes_covered": 3 * experiences if kept else 0,
        "used_bytes": int(kept * record) + 120 if kept else 0,
        "payload_bytes": int(kept * (record - 1)),
        "bytes_per_exemplar": record,
        "codec_bytes": 900_000,
        "model_bytes": 22_000_000,
        "strategy_bytes": 0,
        "steps": 500,
        "train_seconds": 61.5,
        "device": "cpu",
    }
    if finish:
        run_files.finish_run(run_dir, known | facts)
    return run_dir


def write_grid(
    out: Path, formats: tuple[str, ...] = ("jpeg:quality=75,size=64", "tokens"), **options: Any
) -> None:
    """Formats x 3 budgets x 2 seeds, and the naive and joint bounds for both seeds."""
    for seed in (0, 1):
        for spec in formats:
            for memory in (100_000, 500_000, 2_000_000):
                write_run(out, spec=spec, memory=memory, seed=seed, **options)
        for strategy in ("naive", "joint"):
            write_run(out, strategy=strategy, spec="", memory=0, seed=seed)
