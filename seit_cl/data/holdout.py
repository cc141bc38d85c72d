"""A val split for folders that have none: a part of every class, held out by a hash of the files' names.

An image's rank in its class depends on the two names and the seed alone: other classes, the machine and the order of the disk
move nothing, and a class that gains images keeps nearly all of those that it held out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.data.listing import Files, some_names


@dataclass(frozen=True)
class Holdout:
    """How much of every class is held out, and which.

    Args:
        fraction: of a class's images, above 0 and below 1; at least one image is held out, and at least one is not.
        seed: of the choice.
    """

    fraction: float = 0.2
    seed: int = 0

    def __str__(self) -> str:
        """For the line that a run prints of its data."""
        return f"no val/: {100 * self.fraction:.3g} % of every class held out, --split-seed {self.seed}"

    def split(self, root: Path, files: Files) -> tuple[Files, Files]:
        """Train and val files of every class, each sorted as they came.

        Args:
            root: folder of the class folders, for messages.
            files: by class; a class without any is left as it is.

        Raises:
            UserError: a class has a single image.
        """
        single = [name for name, paths in files.items() if len(paths) == 1]
        if single:
            raise UserError(
                f"{root}: one image alone in {some_names(single)}; without val/ a class needs two, one to learn from and "
                "one to be tested on"
            )
        train: Files = {}
        val: Files = {}
        for name, paths in files.items():
            count = max(1, min(len(paths) - 1, int(self.fraction * len(paths) + 0.5)))
            held = set(sorted(paths, key=lambda path: self._rank(root, path))[:count])
            train[name] = [path for path in paths if path not in held]
            val[name] = [path for path in paths if path in held]
        return train, val

    def _rank(self, root: Path, path: Path) -> bytes:
        name = unicodedata.normalize(
            "NFC", path.relative_to(root).as_posix()
        )  # macOS writes names decomposed
        return hashlib.sha256(f"{self.seed}\0{name}".encode(errors="surrogateescape")).digest()


DEFAULT_HOLDOUT = Holdout()
