"""Rows as lines of aligned columns, for terminals and pipes alike."""

from collections.abc import Sequence

from rich.cells import cell_len


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad every column but the last to its widest cell, by the room that it takes on a terminal; lines are never broken."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (value + " " * (width - cell_len(value)) for value, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
