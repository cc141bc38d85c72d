"""Find and read the entropy model of a tokenizer."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.formats.entropy.model import EntropyModel, load_entropy

BUNDLED = Path(__file__).with_name("bundled.safetensors")  # fitted to the bundled tokenizer


class EntropyReader:
    """Read a tokenizer's entropy model when it is first needed, and only once.

    Args:
        tokenizer: the tokenizer's identity.
        path: path of the tokenizer or token file, NAME.safetensors. Its model is
            NAME.entropy.safetensors in the same folder. Where there is none, or one fitted to
            another tokenizer, the bundled model is tried.
    """

    def __init__(self, tokenizer: str, path: Path | None = None) -> None:
        self.tokenizer = tokenizer
        own = [] if path is None else [path.with_suffix(".entropy.safetensors")]
        self._files = [*own, BUNDLED]

    def __call__(self) -> EntropyModel:
        """The model of the tokenizer's codes.

        Raises:
            UserError: there is none, or its file is not an entropy model.
        """
        return self._model

    @cached_property
    def _model(self) -> EntropyModel:
        for file in self._files:
            model = load_entropy(file) if file.exists() else None
            if model is not None and model.tokenizer == self.tokenizer:
                return model
        own = "" if len(self._files) == 1 else f" --out {self._files[0]}"
        raise UserError(
            f"no probabilities of the codes of tokenizer {self.tokenizer}; fit them with "
            f"python -m seit_cl.tokenize entropy{own}, or store tokens with coder=fixed"
        )
