"""The folder of tokens released with SeiT (Park et al., ICCV 2023), without images."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.seit.release import DATA, is_release
from seit_cl.data.token_dataset import open_release
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


class SeitRelease(DatasetPlugin):
    """A SeiT release, converted to a token file in the cache when it is opened first."""

    source = "Park et al., ICCV 2023"
    layout = f"*{DATA} with its index, labels and codebook"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a folder with token data of a release."""
        return is_release(path)

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """Open the release (seit_cl.data.token_dataset)."""
        return open_release(context.path, context.progress)


DATASET = SeitRelease
