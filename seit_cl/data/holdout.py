"""A val split for folders without one: a part of every class, chosen by a hash of file names.

The rank of an image in its class depends on the names of the file and of its class and on the seed
alone. Other classes, the machine and the order of files on the disk change nothing, and a class
that gains images still holds out nearly all of the earlier ones.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.data.listing import Files, some_names


@dataclass(frozen=True)
class Holdout:
    """Rule that holds out a part of every class.

    Args:
        fraction: part of a class's images, between 0 and 1; at least one image is held out, and at
            least one is not.
        seed: seed of the choice.
    """

    fraction: float = 0.2
    seed: int = 0

    def __str__(self) -> str:
        """Description for results and for the line that a run prints about its data."""
        percent = f"{100 * self.fraction:.3g} %"
        return f"no val/: {percent} of every class held out, --split-seed {self.seed}"

    def split(self, root: Path, files: Files) -> tuple[Files, Files]:
        """Divide the files of every class into train and val, each in their present order.

        Args:
            root: folder of the class folders; names are relative to it.
            files: files by class; an empty class stays empty.

        Raises:
            UserError: a class has a single image.
        """
        single = [name for name, paths in files.items() if len(paths) == 1]
        if single:
            away = "this class" if len(single) == 1 else "these classes"
            raise UserError(
                f"{root}: only one image in {some_names(single)}; without val/ a class needs two, "
                f"one for training and one for testing: add one, or move {away} out"
            )
        train: Files = {}
        val: Files = {}
        for name, paths in files.items():
            chosen = self.choose([path.relative_to(root).as_posix() for path in paths])
            val[name] = [paths[i] for i in sorted(chosen)]
            train[name] = [path for i, path in enumerate(paths) if i not in chosen]
        return train, val

    def choose(self, names: Sequence[str]) -> set[int]:
        """Choose the images of one class that are held out.

        Args:
            names: names of the images, with the class; none, or two or more.

        Returns:
            Their positions.
        """
        if not names:
            return set()
        count = max(1, min(len(names) - 1, int(self.fraction * len(names) + 0.5)))
        ranked = sorted(range(len(names)), key=lambda i: self._rank(names[i]))
        return set(ranked[:count])

    def _rank(self, name: str) -> bytes:
        # macOS writes decomposed names.
        normal = unicodedata.normalize("NFC", name)
        return hashlib.sha256(f"{self.seed}\0{normal}".encode(errors="surrogateescape")).digest()


DEFAULT_HOLDOUT = Holdout()
