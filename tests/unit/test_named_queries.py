"""Named SQL: a mistake in a file or a name shows as soon as a module is imported."""

import pytest

from server.postgres.queries import QueryError, load_queries
from server.store import query

GOOD = (
    "-- name: first\n-- What it is for.\nSELECT 1;\n\n"
    "-- name: second\n-- Another.\n-- On two lines.\nSELECT 2;\n"
)


def test_a_file_is_split_into_its_queries() -> None:
    found = load_queries({"good.sql": GOOD})

    assert dict(found) == {
        "first": "-- first\n-- What it is for.\nSELECT 1;",
        "second": "-- second\n-- Another.\n-- On two lines.\nSELECT 2;",
    }


def test_a_name_used_in_two_files_is_an_error() -> None:
    with pytest.raises(QueryError, match=r"b\.sql: there is a query named first already"):
        load_queries({"a.sql": GOOD, "b.sql": GOOD})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: \n-- Nameless.\nSELECT 1", "is not a name"),
        ("-- name: Shouting\n-- Loud.\nSELECT 1", "is not a name"),
        ("-- name: terse\nSELECT 1", "terse has no description"),
        ("-- name: empty\n-- Promises much.\n", "empty has no statement"),
    ],
)
def test_a_query_that_is_not_well_formed_is_an_error(text: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        load_queries({"bad.sql": text})


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"no query is named 'services_pgae': known are .*services_page"):
        query("services_pgae")


def test_a_known_query_is_found() -> None:
    assert "FROM public.services" in query("services_page")
