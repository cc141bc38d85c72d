"""A validation part: training images that no experience shows, for whatever is chosen.

Settings that are chosen by accuracy, such as the quality of a format, would be chosen on the test
images otherwise. The split `val` of a dataset is its test images; the validation part is taken from
its split `train`, after the test images are apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.holdout import Holdout
from seit_cl.data.listing import some_names
from seit_cl.data.scenario import Scenario


@dataclass(frozen=True)
class ValidationPart:
    """Rule that keeps a part of every class's training images out of the stream.

    Args:
        fraction: part of a class's training images; 0: none. At least one image of a class is held
            out, and at least one is not.
        seed: seed of the choice, which depends on the images' names alone beside it.
        tested: True to test on this part, False to test on the test images.
    """

    fraction: float = 0.0
    seed: int = 0
    tested: bool = False

    def __str__(self) -> str:
        """Description for the line that a run prints about its data."""
        part = f"{100 * self.fraction:.3g} % of every class's training images"
        tested = "the runs are tested on them" if self.tested else "tests have the test images"
        return f"validation: {part} held out, --validation-seed {self.seed}; {tested}"

    def cut(self, dataset: Dataset, cut: Callable[[Dataset], Scenario]) -> Scenario:
        """Cut the training images that are left into a stream, tested as `tested` says.

        Args:
            dataset: with all training images.
            cut: cuts a dataset into a stream; it sees the validation part as the dataset's val
                split where the stream is tested on it, and never as training images.

        Raises:
            UserError: a class with a single training image.
        """
        if self.fraction == 0:
            return cut(dataset)
        kept, held = self.rows(dataset)
        unchanged = torch.arange(len(dataset.classes))
        shown = replace(dataset, train=dataset.train.take(kept, unchanged))
        if self.tested:
            shown = replace(shown, val=dataset.train.take(held, unchanged))
        stream = cut(shown)
        stream = replace(stream, train=tuple(kept[ids] for ids in stream.train))
        if not self.tested:
            return stream
        return replace(stream, test=tuple(held[ids] for ids in stream.test), validates=True)

    def rows(self, dataset: Dataset) -> tuple[Tensor, Tensor]:
        """Choose the training images of every class that are kept, and those that are held out.

        Returns:
            Two times (n,) int64, rows of the train split.

        Raises:
            UserError: a class with a single training image.
        """
        train = dataset.train
        holdout = Holdout(self.fraction, self.seed)
        held = torch.zeros(len(train), dtype=torch.bool)
        single = []
        for label, class_name in enumerate(dataset.classes):
            rows = (train.labels == label).nonzero()[:, 0].tolist()
            if len(rows) == 1:
                single.append(class_name)
                continue
            if train.images:
                names = [train.images[row].name for row in rows]
            else:  # tokens alone, which have no names but their place in the class
                names = [f"{class_name}/{place}" for place in range(len(rows))]
            held[[rows[i] for i in holdout.choose(names)]] = True
        if single:
            raise UserError(
                f"--validation-fraction: only one training image in {some_names(single)}; leave "
                "these classes out, or use --validation-fraction 0"
            )
        return (~held).nonzero()[:, 0], held.nonzero()[:, 0]
