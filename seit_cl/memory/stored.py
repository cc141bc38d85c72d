"""A memory's file, read back: its format, and exemplars that agree with its header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.formats import ExemplarFormat, FormatContext, build_format
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.memory.avalanche import ImageTokenizer
from seit_cl.memory.exemplar_fields import TensorSpec
from seit_cl.memory.file import FileExemplars, FileHeader, read_exemplars, read_header
from seit_cl.memory.selection import degrading_options


@dataclass(frozen=True)
class StoredMemory:
    """The content of a memory's file.

    Args:
        header: of the file.
        fmt: with the side_info of the file.
        context: of the format.
        rest: bytes of the exemplars.
    """

    header: FileHeader
    fmt: ExemplarFormat
    context: FormatContext
    rest: memoryview

    @classmethod
    def of(
        cls,
        body: memoryview,
        path: str,
        entropy_model: Callable[[], EntropyModel] | None,
        tokenizer: ImageTokenizer | None,
    ) -> StoredMemory:
        """Read the header and build the format.

        Args:
            body: everything after the file's checksum.
            path: names the file in messages.
            entropy_model: reads the model of the tokenizer's codes; None for the tokenizer's, or
                the bundled one.
            tokenizer: that the memory is to be used with, or None.

        Raises:
            UserError: a file of another tokenizer.
            ValueError: a header that contradicts itself.
        """
        if tokenizer is not None:
            entropy_model = entropy_model or tokenizer.entropy_model
        header, rest = read_header(body)
        if tokenizer is not None and header.context.tokenizer != tokenizer.identity:
            raise UserError(
                f"{path}: its tokenizer is {header.context.tokenizer or 'none'}, not "
                f"{tokenizer.identity}; open the one that it was made with"
            )
        _check_header(header, len(rest))
        plugins.check_imported("format", header.spec)
        plugins.check_imported("policy", header.policy)
        context = replace(header.context, entropy_model=entropy_model)
        fmt = build_format(header.spec, context)
        if fmt.side_info != header.side_info:
            fmt.side_info = header.side_info
        return cls(header, fmt, context, rest)

    def exemplars(
        self, fields: Mapping[str, TensorSpec], fixed_length: int | None
    ) -> FileExemplars:
        """Read the exemplars.

        Args:
            fields: of every exemplar.
            fixed_length: bytes of every record; None where the file has their lengths.

        Raises:
            ValueError: they are not as long as the file.
        """
        content = np.frombuffer(self.rest, np.uint8)
        classes = self.context.classes
        return read_exemplars(content, self.header.count, classes, fields, fixed_length)


def _check_header(header: FileHeader, exemplar_bytes: int) -> None:
    """Compare the numbers of a header with one another, and with the size of its file.

    Args:
        header: of the file.
        exemplar_bytes: bytes of the file after it.

    Raises:
        ValueError: they contradict each other.
    """
    size = header.nbytes + len(header.side_info) + exemplar_bytes
    if size > header.budget:
        raise ValueError(f"{size:,} bytes, and a budget of {header.budget:,}")
    if header.max_exemplars and header.count > header.max_exemplars:
        raise ValueError(f"{header.count} exemplars, and a limit of {header.max_exemplars}")
    if header.levels != degrading_options(header.policy).cuts:
        raise ValueError(f"its flags contradict its policy {header.policy}")
