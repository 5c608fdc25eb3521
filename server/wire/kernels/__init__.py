"""
Kernels that read a binary COPY stream and write records.

See ``graphcore.compiling`` for what a kernel may be written in.

The constants say what the arrays that kernels share with their callers hold, and where.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.flags import STALE
from server.domain.columns import ColumnType
from server.domain.records import CRITICALITY_FLAGS, KIND_BITS, MODE_FLAGS, SOURCE_FLAGS
from server.wire.columns import DEPENDENCY, SERVICE, WireColumn, position

# The span: where to read, and how far it went.
AT, END, STATE, FREE = range(4)
SPAN = 4
# Why a kernel stopped; what ``split_row`` returns when it finds no row is one of these too.
INCOMPLETE, FINISHED, MALFORMED, FULL = -1, -2, -3, -4

# Columns of a batch. ROW: where the row begins in the stream. START and END: of the record, or of
# the message without its head when SPLIT is not negative: the JSON column belongs there, whose text
# the kernel can't write; it is at TEXT, LENGTH bytes long.
ROW, START, SPLIT, END_, TEXT, LENGTH = range(6)
NAME, KIND = 6, 7
SERVICE_COLUMNS = 8
SOURCE, TARGET, FLAGS = 6, 7, 8
DEPENDENCY_COLUMNS = 9
# In SPLIT: all is written; nothing is, since the row is odd in another way.
WHOLE, ODD = -1, -2

# What a kernel notes of each field of a row: where it begins, its length (-1 = NULL), and what it
# found there: a row of WORDS, or the position of a service.
BEGIN, SIZE, FOUND = range(3)
FIELD_COLUMNS = 3

UUID_SIZE, TIME_SIZE, DOUBLE_SIZE, INT_SIZE, BOOL_SIZE = 16, 8, 8, 4, 1
_SIZES = {
    ColumnType.ID: UUID_SIZE,
    ColumnType.SERVICE: UUID_SIZE,
    ColumnType.INTEGER: INT_SIZE,
    ColumnType.DOUBLE: DOUBLE_SIZE,
    ColumnType.BOOLEAN: BOOL_SIZE,
    ColumnType.TIME: TIME_SIZE,
}

# Levels of nested metadata. The first row is no level but where reading and writing are.
PLACE = 0
READ, WRITE = range(2)
# Of a level: where the lengths stand of the object or list, of the value that it is, and of the
# entry of the map above (-1 = none).
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


# A plan describes the columns of a table to kernels, a row for each. WIDTH: the size of a value, 0
# = any. FIRST_WORD and LAST_WORD: the range of WORDS that it may be. FLAG: what a true value adds
# to the flags of an edge.
TYPE, TAG, WIDTH, FIRST_WORD, LAST_WORD, FLAG, NULLABLE, WRITES_EMPTY = range(8)
# In TYPE.
ID, SERVICE_ID, TEXT_, WORD, INTEGER, DOUBLE, BOOLEAN, TIME, STRUCT, OTHER_JSON = range(10)
_TYPES = {
    ColumnType.ID: ID,
    ColumnType.SERVICE: SERVICE_ID,
    ColumnType.TEXT: TEXT_,
    ColumnType.WORD: WORD,
    ColumnType.INTEGER: INTEGER,
    ColumnType.DOUBLE: DOUBLE,
    ColumnType.BOOLEAN: BOOLEAN,
    ColumnType.TIME: TIME,
    ColumnType.JSON: OTHER_JSON,
}
# Columns of WORDS, which holds the bytes of each word behind its length and its number in the
# contract.
WORD_LENGTH, NUMBER, CHARACTERS = range(3)

_words: list[Sequence[int]] = []
_word_flags: list[int] = []


def _plan(
    columns: Sequence[WireColumn], word_flags: Mapping[str, Mapping[str, int]], flags: Mapping[str, int]
) -> NDArray[np.int64]:
    """Describe columns to kernels; the flags are by column, of words and of what is true."""
    rows = []
    for wire in columns:
        column, first = wire.column, len(_words)
        is_struct = wire.message_type == "google.protobuf.Struct"
        for word, number in wire.numbers.items():
            _words.append((len(word), number, *word.encode()))
            _word_flags.append(word_flags.get(column.name, {}).get(word, 0))
        rows.append(
            (
                STRUCT if is_struct else _TYPES[column.type],
                wire.tag,
                _SIZES.get(column.type, 0),
                first,
                len(_words),
                flags.get(column.name, 0),
                column.nullable,
                wire.writes_empty,
            )
        )
    return np.array(rows, np.int64)


SERVICE_PLAN = _plan(SERVICE, {"kind": KIND_BITS}, {})
DEPENDENCY_PLAN = _plan(
    DEPENDENCY,
    {"communication_mode": MODE_FLAGS, "criticality": CRITICALITY_FLAGS, "discovery_source": SOURCE_FLAGS},
    {"is_stale": STALE},
)
WORDS = np.zeros((len(_words), max(map(len, _words))), np.uint8)
for _row, _word in zip(WORDS, _words, strict=True):
    _row[: len(_word)] = _word
WORD_FLAGS = np.array(_word_flags, np.int64)

# Fields of a row that kernels need beside its record.
ID_FIELD = 0
NAME_FIELD, METADATA_FIELD = position(SERVICE, "service_id"), position(SERVICE, "metadata")
SOURCE_FIELD = position(DEPENDENCY, "source_service_id")
TARGET_FIELD = position(DEPENDENCY, "target_service_id")
CONFIDENCE_FIELD = position(DEPENDENCY, "confidence_score")
