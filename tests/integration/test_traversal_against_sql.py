"""Traversals of random graphs against a recursive query over the same rows in real PostgreSQL."""

import asyncio
from uuid import UUID

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from graphcore import Direction
from tests.support import traversal_sql
from tests.support.examples import examples
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.oracle import Reached
from tests.support.rows import PlainFilter, Tables
from tests.support.traversal import traverse

EXAMPLES = 200


@st.composite
def questions(draw: st.DrawFn) -> tuple[Tables, UUID, int, PlainFilter]:
    rows = draw(tables())
    return rows, draw(st.sampled_from(list(rows.services))), draw(st.integers(1, 10)), draw(filters())


async def answers_of_sql(
    connection: "asyncpg.Connection[asyncpg.Record]",
    question: tuple[Tables, UUID, int, PlainFilter],
) -> dict[Direction, Reached]:
    """Ask for every direction; the rows are there only until the transaction is rolled back."""
    rows, start, max_depth, chosen = question
    transaction = connection.transaction()
    await transaction.start()
    try:
        await traversal_sql.write(connection, rows)
        return {
            direction: await traversal_sql.reached(connection, start, direction.value, max_depth, chosen)
            for direction in Direction
        }
    finally:
        await transaction.rollback()


def answer_of_memory(question: tuple[Tables, UUID, int, PlainFilter], direction: Direction) -> Reached:
    rows, start, max_depth, chosen = question
    found = traverse(graph_of(rows), rows.name(start), direction, max_depth, edge_filter(chosen))
    keys = {dependency.payload for dependency in found.dependencies if isinstance(dependency.payload, UUID)}
    assert len(keys) == len(found.dependencies)
    return Reached(
        {service.name: depth for service, depth in zip(found.services, found.depths, strict=True)}, keys
    )


def test_a_traversal_finds_what_a_recursive_query_finds(database_url: str) -> None:
    # One loop and one connection serve all examples. Hypothesis drives them from inside the test,
    # because all its examples would share a fixture of the test.
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database_url))

        @examples(EXAMPLES)
        @given(questions())
        def check(question: tuple[Tables, UUID, int, PlainFilter]) -> None:
            expected = runner.run(answers_of_sql(connection, question))
            for direction in Direction:
                assert answer_of_memory(question, direction) == expected[direction]

        try:
            check()
        finally:
            runner.run(connection.close())
