"""
Definitions of the columns of ``services`` and ``service_dependencies``.

Both tables are defined with them, beside their rows. The lists in SQL (``server.postgres.queries``)
and the encoding of rows (``server.wire``) follow from them. See ``docs/adding-a-column.md``.
"""

import enum
from dataclasses import dataclass
from typing import Literal


class ColumnType(enum.Enum):
    """How the values of a column are stored and sent."""

    ID = enum.auto()
    """``uuid``, sent as text."""
    SERVICE = enum.auto()
    """``uuid`` of a service, which is sent as its name. Writers give the name."""
    TEXT = enum.auto()
    WORD = enum.auto()
    """``text``, one of ``words``; sent as the enum value of that name."""
    INTEGER = enum.auto()
    DOUBLE = enum.auto()
    BOOLEAN = enum.auto()
    TIME = enum.auto()
    """``timestamptz``, sent as ``Timestamp``."""
    JSON = enum.auto()
    """
    ``jsonb``, a text to the server, sent as a message.

    Compared as text: 1 and 1.0 are equal as ``jsonb`` only.
    """


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Columns stand in the order of their field numbers in the contract's message."""

    name: str
    type: ColumnType
    field: str = ""
    """Its name in the contract's message; empty = the column's."""
    words: tuple[str, ...] = ()
    nullable: bool = False
    role: Literal["key", "set", "generated"] = "set"
    """Whether writers give the column to name the row, or to set it; or not at all."""
    default: str = ""
    """SQL for the value of a row whose writer gave None; empty = NULL."""

    @property
    def contract_field(self) -> str:
        """Its name in the contract's message."""
        return self.field or self.name


GENERATED_TIMES = (
    Column("created_at", ColumnType.TIME, "create_time", role="generated"),
    Column("updated_at", ColumnType.TIME, "update_time", role="generated"),
)

NOT_IN_HISTORY = frozenset({"last_observed_at", "updated_at"})
"""Columns that are not structural: history does not know what they were."""
