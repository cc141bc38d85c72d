"""Process of `benchmarks.versions`: measures the code of one checkout when it is asked to.

It is run as a script, with the checkout's folder as its argument, so that only that folder's code
is imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

READY = "versions: "
FIGURES = ("step, fp32", "step, bf16", "replay, tokens", "replay, pixels")
PATHS = {"tokens": "tokens -> tokens", "pixels": "jpeg:quality=75 -> pixels"}
STEPS = 10
REPLAYS = 20


def import_checkout(root: Path) -> Any:
    """Import the benchmarks of a checkout, with its own package and plugins."""
    sys.path[0] = str(root)  # in place of this file's folder
    import seit_cl

    seit_cl.__path__.append(str(root))  # strategies, scenarios and reports lie there
    from benchmarks import replay, step

    return step, replay


def rate(call: Callable[[], object], images: int) -> float:
    """Images per second of a call that takes that many."""
    started = time.perf_counter()
    call()
    return images / (time.perf_counter() - started)


def build(figure: str, step: Any, replay: Any) -> Callable[[], float]:
    """Build the measurement of a figure."""
    kind, _, detail = figure.partition(", ")
    if kind == "step":
        options = step.Options(precision=(detail,), threads=1, steps=STEPS)
        training = next(iter(step.build_pairs(options).values())).learner
        images = training.steps * (options.batch + options.replay_batch)
        return lambda: rate(training, images)
    options = replay.Options(exemplars=300, formats=("tokens", "jpeg:quality=75"))
    path = replay.build_paths(options)[PATHS[detail]]
    path()
    path()  # the memory decodes all exemplars when it is read for the second time

    def replay_often() -> None:
        for _ in range(REPLAYS):
            path()

    return lambda: rate(replay_often, REPLAYS * options.batch)


def main() -> None:
    """Answer every line of the standard input, a figure, with its images per second."""
    step, replay = import_checkout(Path(sys.argv[1]))
    measurements: dict[str, Callable[[], float]] = {}
    print(READY, flush=True)
    for line in sys.stdin:
        figure = line.strip()
        if figure not in measurements:
            measurements[figure] = build(figure, step, replay)
        print(f"{READY}{measurements[figure]()}", flush=True)


if __name__ == "__main__":
    main()
