"""
The definitions of columns against the schema: types, NULL, and the words that constraints allow.
"""

import re

import asyncpg
import pytest

from server.domain.columns import Column, ColumnType
from server.domain.dependencies import DEPENDENCY_COLUMNS
from server.domain.services import SERVICE_COLUMNS

TYPES = {
    ColumnType.ID: {"uuid"},
    ColumnType.SERVICE: {"uuid"},
    ColumnType.TEXT: {"text", "character varying"},
    ColumnType.WORD: {"text", "character varying"},
    ColumnType.INTEGER: {"integer"},
    ColumnType.DOUBLE: {"double precision"},
    ColumnType.BOOLEAN: {"boolean"},
    ColumnType.TIME: {"timestamp with time zone"},
    ColumnType.JSON: {"jsonb"},
}
TABLES = pytest.mark.parametrize(
    ("table", "columns"), [("services", SERVICE_COLUMNS), ("service_dependencies", DEPENDENCY_COLUMNS)]
)


@TABLES
async def test_the_schema_has_the_defined_columns(
    connection: asyncpg.Connection, table: str, columns: tuple[Column, ...]
) -> None:
    rows = await connection.fetch(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = $1",
        table,
    )
    stored = {row["column_name"]: (row["data_type"], row["is_nullable"] == "YES") for row in rows}
    for column in columns:
        data_type, nullable = stored[column.name]
        assert data_type in TYPES[column.type], column
        assert nullable == column.nullable, column


@TABLES
async def test_the_constraints_allow_the_words_of_each_column(
    connection: asyncpg.Connection, table: str, columns: tuple[Column, ...]
) -> None:
    rows = await connection.fetch(
        "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint"
        " WHERE conrelid = $1::regclass AND contype = 'c'",
        table,
    )
    for column in columns:
        if column.words:
            [found] = [row["text"] for row in rows if re.search(rf"\(+{column.name}\b.*= ANY", row["text"])]
            assert set(re.findall(r"'(\w+)'", found)) == set(column.words)
