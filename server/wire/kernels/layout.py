"""What the arrays that kernels share with their callers hold, and where."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from server.domain.edge_flags import CRITICALITY_FLAGS, MODE_FLAGS, SOURCE_FLAGS
from server.wire import words

# The span: where to read, and how far it went.
AT, END, STATE, FREE = range(4)
SPAN = 4
# Why a kernel stopped; what ``split_row`` returns when it finds no row is one of these too.
INCOMPLETE, FINISHED, MALFORMED, FULL = -1, -2, -3, -4

# Columns of a batch. ROW: where the row begins in the stream. START and END: of the record, or of the message without its head when
# SPLIT is not negative: something belongs there that the kernel can't write, made of the text at TEXT, LENGTH bytes long.
ROW, START, SPLIT, END_, TEXT, LENGTH = range(6)
NAME = 6
SERVICE_COLUMNS = 7
SOURCE, TARGET, FLAGS = 6, 7, 8
DEPENDENCY_COLUMNS = 9
# In SPLIT: all is written; nothing is, since the row is odd in another way.
WHOLE, ODD = -1, -2

# What is known of a field of a row: where it begins, its length (-1 = NULL), and which row of WORDS it is.
BEGIN, SIZE, WORD = range(3)
FIELD_COLUMNS = 3

# Sizes of the fields of a row, 0 = any: columns as in ``feed/sql/feed.sql``.
UUID_SIZE, TIME_SIZE, DOUBLE_SIZE, INT_SIZE, BOOL_SIZE, ANY = 16, 8, 8, 4, 1, 0
SERVICE_SIZES = np.array(
    (UUID_SIZE, ANY, ANY, ANY, ANY, BOOL_SIZE, TIME_SIZE, TIME_SIZE),
    np.int64,
)
DEPENDENCY_SIZES = np.array(
    (
        *(UUID_SIZE, UUID_SIZE, UUID_SIZE),
        *(ANY, ANY, ANY, INT_SIZE, ANY, ANY),
        *(DOUBLE_SIZE, TIME_SIZE, BOOL_SIZE, TIME_SIZE, TIME_SIZE),
    ),
    np.int64,
)

# Levels of nested metadata. The first row is no level but where reading and writing are.
PLACE = 0
READ, WRITE = range(2)
# Of a level: where the lengths stand of the object or list, of the value that it is, and of the entry of the map above (-1 = none).
CONTAINER, VALUE, ENTRY, IS_OBJECT = range(4)
LEVEL_COLUMNS = 4
LEVELS = 10
# A Struct takes at most so many bytes for a byte of its text.
INFLATION = 6

# Bytes left free before a message for its tag and its length.
HEAD = 6
# Bytes of a brief without a name.
EMPTY_BRIEF = 2
# More than all that a record has of fixed length, head included.
FIXED = 256


# Columns of WORDS.
WORD_LENGTH, NUMBER, CHARACTERS = range(3)


def _table(*columns: tuple[words.EnumWords[Any, Any], Mapping[str, int]]) -> tuple[Any, Any, tuple[int, ...]]:
    """Lay out words for ``find_word``: length, number in the contract, then the bytes; their flags; where each enum begins."""
    rows: list[Sequence[int]] = []
    flags: list[int] = []
    begins = [0]
    for enum, bits in columns:
        for word, number in enum.number.items():
            rows.append((len(word), number, *word.encode()))
            flags.append(bits.get(word, 0))
        begins.append(len(rows))
    table = np.zeros((len(rows), max(map(len, rows))), np.uint8)
    for row, content in zip(table, rows, strict=True):
        row[: len(content)] = content
    return table, np.array(flags, np.int64), tuple(begins)


WORDS, WORD_FLAGS, _BEGINS = _table(
    (words.CRITICALITY, {}),
    (words.COMMUNICATION_MODE, MODE_FLAGS),
    (words.DEPENDENCY_CRITICALITY, CRITICALITY_FLAGS),
    (words.DISCOVERY_SOURCE, SOURCE_FLAGS),
)
SERVICE_CRITICALITIES, MODES, CRITICALITIES, DISCOVERY_SOURCES, WORDS_END = _BEGINS
