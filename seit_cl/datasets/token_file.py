"""Token files, which `tokenize encode` writes: labels and tokens, without images."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.token_dataset import open_token_dataset
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


class TokenFiles(DatasetPlugin):
    """A token file."""

    source = "seit_cl.tokenize encode"
    layout = "FILE.safetensors from tokenize encode"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for safetensors files, of which no other kind holds data."""
        return path.suffix == ".safetensors" and path.is_file()

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """Open the file (seit_cl.data.token_dataset)."""
        return open_token_dataset(context.path)


DATASET = TokenFiles
