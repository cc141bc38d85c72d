"""Byte accounting: the size of a memory's file, computed before anything is written."""

from __future__ import annotations

from collections.abc import Mapping

from seit_cl.core.errors import BudgetTooSmall
from seit_cl.formats import ExemplarFormat
from seit_cl.memory.exemplar_fields import TensorSpec
from seit_cl.memory.file import label_dtype
from seit_cl.memory.varints import varint_bytes


class ByteAccounting:
    """Bytes of the parts of a memory's file.

    Args:
        fmt: the exemplar format.
        classes: number of classes C, which fixes the width of a label.
        fields: fields stored with every exemplar.
        header_bytes: size of the file's header, constant over the memory's lifetime.
        cuts: True if records may be cut, so that lengths are stored whatever the format.

    Attributes:
        header_bytes: as given.
        label_bytes: bytes of one label.
        field_bytes: bytes of one exemplar's fields.
        fixed_length: bytes of every record; None where lengths are stored.
    """

    def __init__(
        self,
        fmt: ExemplarFormat,
        classes: int,
        fields: Mapping[str, TensorSpec],
        header_bytes: int,
        cuts: bool = False,
    ) -> None:
        self.fmt = fmt
        self.fixed_length = None if cuts else fmt.fixed_length
        self.header_bytes = header_bytes
        self.label_bytes = label_dtype(classes).itemsize
        self.field_bytes = sum(spec.nbytes for spec in fields.values())

    @property
    def empty_bytes(self) -> int:
        """Bytes of an empty memory: header and side_info."""
        return self.header_bytes + len(self.fmt.side_info)

    def exemplar_bytes(self, length: int) -> int:
        """Bytes of an exemplar with a record of `length` bytes."""
        total = length + self.label_bytes + self.field_bytes
        if self.fixed_length is None:
            total += varint_bytes(length)
        return total

    def require(self, budget: int, length: int | None = None) -> None:
        """Check that a budget holds an empty memory and one exemplar.

        Args:
            budget: bytes.
            length: bytes of the exemplar's record; None if unknown.

        Raises:
            BudgetTooSmall: it does not; the message gives the smallest sufficient budget.
        """
        exact = self.fmt.fixed_length if length is None else length
        needed = self.empty_bytes + self.exemplar_bytes(1 if exact is None else exact)
        if budget >= needed:
            return
        if exact is None:
            exemplar = "and a record, longer for most images"
        else:
            exemplar = f"and an exemplar of {self.exemplar_bytes(exact)}"
        raise BudgetTooSmall(
            f"a memory of {budget} bytes is too small for {self.fmt.spec}: give at least {needed} "
            f"bytes ({needed / 1e6:.6f} MB): a header of {self.header_bytes}, side info of "
            f"{len(self.fmt.side_info)} {exemplar}"
        )

    def by_kind(self, count: int, payload: int, used: int) -> dict[str, int]:
        """Split the bytes of a file by purpose.

        Args:
            count: number of exemplars N.
            payload: bytes of their records.
            used: bytes of the file.

        Returns:
            Bytes of "header", "side_info", "labels", "extras", "payload" and "lengths"; their sum
            is `used`.
        """
        kinds = {
            "header": self.header_bytes,
            "side_info": len(self.fmt.side_info),
            "labels": count * self.label_bytes,
            "extras": count * self.field_bytes,
            "payload": payload,
        }
        kinds["lengths"] = used - sum(kinds.values())
        return kinds
