"""All faults: `make faults`.

Every line of the table is kept in a file of --out, so that an interrupted command goes on. It ends
with 1 where anything was wrong.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

# Before torch is imported: kills fork this process, whose threads its children would not have.
os.environ["OMP_NUM_THREADS"] = "1"

import tyro
from faults import hostile_images
from faults.damage import CUTS, FLIPS, OUTCOMES, try_damage
from faults.subjects import FOREIGN, OWN, Maker
from faults.table import table
from faults.trials import Tries, try_failures, try_kills, try_losses_of_power
from faults.works import NAMES, Work, open_work, small_images
from rich.console import Console

from seit_cl.core.cli import OutPath, hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.files import make_folder, write_atomic
from seit_cl.core.progress import progress_bars

Section = Literal["damage", "foreign", "kills", "failures", "power", "images"]
SECTIONS: tuple[Section, ...] = ("damage", "foreign", "kills", "failures", "power", "images")
TRIALS: dict[str, Callable[[Work, Path], Tries]] = {
    "kills": try_kills,
    "failures": try_failures,
    "power": try_losses_of_power,
}


@dataclass(frozen=True)
class Options:
    """Options of the command.

    Args:
        only: sections to make.
        seed: of the places of damage, and of the images.
        flips: bits to flip in a file of every kind.
        cuts: of a file of every kind.
        images: hostile images.
        out: folder of what was found, and of the table.
    """

    only: Annotated[tuple[Section, ...], hint("sections to make")] = SECTIONS
    seed: Annotated[int, hint("of the places of damage, and of the images")] = 0
    flips: Annotated[int, hint("bits to flip in a file of every kind")] = FLIPS
    cuts: Annotated[int, hint("cuts of a file of every kind")] = CUTS
    images: Annotated[int, hint("hostile images")] = 300
    out: Annotated[OutPath, hint("folder of what was found, and of the table")] = Path("faults")


@dataclass(frozen=True)
class Item:
    """A line of the table.

    Args:
        section: it belongs to.
        name: of the file or the command.
        make: makes its values, given an empty folder.
        wanted: options that the values depend on.
    """

    section: str
    name: str
    make: Callable[[Path], dict[str, Any]]
    wanted: dict[str, int]

    def values(self, out: Path) -> dict[str, Any]:
        """Read the values of an earlier start, or make them; what goes wrong is in "problems"."""
        slug = re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")
        path = out / f"{self.section}-{slug}.json"
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text())
            if kept["wanted"] == self.wanted:
                return kept
        started = _processor_seconds()
        with tempfile.TemporaryDirectory() as folder:
            made = self.make(Path(folder))
        seconds = _processor_seconds() - started
        about = {"section": self.section, "name": self.name, "wanted": self.wanted}
        values = {**about, "processor_seconds": seconds, **made}
        write_atomic(path, json.dumps(values, indent=1) + "\n")
        return values


def _processor_seconds() -> float:
    """Time of the processor that this process and its children have taken."""
    return sum(os.times()[:4])


def items(options: Options) -> list[Item]:
    """All lines of the table, in its order."""
    listed = []
    sample = {"flips": options.flips, "cuts": options.cuts, "seed": options.seed}
    for section, makers in (("damage", OWN), ("foreign", FOREIGN)):
        for name, maker in makers.items():
            listed.append(Item(section, name, partial(damaged, maker, sample), sample))
    for section, trial in TRIALS.items():
        for name in NAMES:
            listed.append(Item(section, name, partial(tried, name, trial), {}))
    wanted = {"images": options.images, "seed": options.seed}
    listed.append(Item("images", "hostile images", partial(decoded, wanted), wanted))
    return listed


def damaged(maker: Maker, sample: dict[str, int], folder: Path) -> dict[str, Any]:
    """Damage a file of a kind in many places."""
    with _without_stderr():
        outcomes = try_damage(maker(folder), **sample)
    counts = {outcome: outcomes.counts[outcome] for outcome in OUTCOMES}
    return {**counts, "problems": outcomes.examples}


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard notes, and the remarks that libjpeg writes past Python."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def tried(name: str, trial: Callable[[Work, Path], Tries], folder: Path) -> dict[str, Any]:
    """Let a command meet a fault at every operation."""
    with open_work(name, small_images(folder)) as work:
        (folder / "tries").mkdir()
        return asdict(trial(work, folder / "tries"))


def decoded(wanted: dict[str, int], folder: Path) -> dict[str, Any]:
    """Decode hostile images in a process of its own, whose memory is measured."""
    found = hostile_images.decode_apart(wanted["images"], wanted["seed"])
    found["problems"] = list(found["tracebacks"])
    if found["seconds"] > hostile_images.LONGEST:
        found["problems"].append(f"an image took {found['seconds']:.1f} s")
    added = found["megabytes"] - found["megabytes_before"]
    if added > hostile_images.MOST_MEMORY:
        found["problems"].append(f"decoding took {added:.0f} MB")
    return found


def main() -> int:
    """Try what is left to try, write the table, and print what was wrong."""
    words = sys.argv[1:]
    options = parse_line(lambda: tyro.cli(Options, args=words, prog="make faults"))
    if options.flips < 1 or options.cuts < 1 or options.images < 1:
        raise UserError("--flips, --cuts and --images: must be at least 1; raise them")
    make_folder(options.out)
    chosen = [item for item in items(options) if item.section in options.only]
    console = Console()
    made = []
    with tempfile.TemporaryDirectory() as cache, progress_bars(console) as bars:
        os.environ["SEIT_CL_CACHE"] = cache
        task = bars.add_task("", total=len(chosen))
        for item in chosen:
            bars.update(task, description=f"{item.section}: {item.name}")
            made.append(item.values(options.out))
            bars.advance(task)
    write_atomic(options.out / "table.md", table(made))
    problems = [f"{each['name']}: {line}" for each in made for line in each["problems"]]
    for line in problems:
        print(line)
    minutes = sum(each["processor_seconds"] for each in made) / 60
    print(
        f"{len(problems)} problems in {minutes:.0f} minutes of a core; {options.out / 'table.md'}"
    )
    return int(bool(problems))


if __name__ == "__main__":
    run_command(main)
