"""What a memory's file costs, known before anything is written."""

from __future__ import annotations

from collections.abc import Mapping

from seit_cl.core.errors import BudgetTooSmall
from seit_cl.formats import ExemplarFormat
from seit_cl.memory.file import TensorSpec, label_dtype, varint_bytes


class ByteAccounting:
    """Bytes of the file's parts.

    Args:
        fmt: the exemplar format.
        classes: C, which fixes a label's width.
        exemplar_fields: extras kept with every exemplar.
        header_bytes: of the file's header, constant over the memory's life.
    """

    def __init__(
        self,
        fmt: ExemplarFormat,
        classes: int,
        exemplar_fields: Mapping[str, TensorSpec],
        header_bytes: int,
    ) -> None:
        self.fmt = fmt
        self.header = header_bytes
        self.label = label_dtype(classes).itemsize
        self.extras = sum(spec.nbytes for spec in exemplar_fields.values())

    @property
    def fixed(self) -> int:
        """Bytes of an empty memory: header and side_info."""
        return self.header + len(self.fmt.side_info)

    def exemplar(self, length: int) -> int:
        """Bytes of an exemplar whose record has this length."""
        varint = varint_bytes(length) if self.fmt.fixed_length is None else 0
        return length + self.label + self.extras + varint

    def require(self, budget: int, length: int | None) -> None:
        """Check that a budget holds the header and one exemplar.

        Args:
            budget: bytes.
            length: of its record; None where no record is known.

        Raises:
            BudgetTooSmall: it does not.
        """
        exact = self.fmt.fixed_length if length is None else length
        needed = self.fixed + self.exemplar(1 if exact is None else exact)
        if budget >= needed:
            return
        rest = (
            "and a record, longer for most images"
            if exact is None
            else f"and an exemplar of {self.exemplar(exact)}"
        )
        raise BudgetTooSmall(
            f"a memory of {budget} bytes is too small for {self.fmt.spec}: give at least {needed} bytes "
            f"({needed / 1e6:.6f} MB): a header of {self.header}, side info of {len(self.fmt.side_info)} {rest}"
        )

    def by_kind(self, count: int, payload: int, used: int) -> dict[str, int]:
        """Bytes by what they are for, of a memory of `count` exemplars; they sum to `used`."""
        kinds = {
            "header": self.header,
            "side_info": len(self.fmt.side_info),
            "labels": count * self.label,
            "extras": count * self.extras,
            "payload": payload,
        }
        kinds["lengths"] = used - sum(kinds.values())
        return kinds
