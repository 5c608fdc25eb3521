"""Answers of tools for agents: names can't break them, and they keep within their bound."""

import json

from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import GetStatusResponse
from server.web.mcp.answer import MAX_BYTES, Answer, Name, Table
from server.web.mcp.naming import listed, path, quoted

NAMES = st.text(max_size=255)
TABLES = st.lists(
    st.lists(st.tuples(NAMES.map(Name), st.integers() | st.none()), max_size=400), min_size=1, max_size=3
)


@given(NAMES)
def test_a_name_is_one_printable_word_or_a_json_string_of_itself(name: str) -> None:
    shown = quoted(name)
    assert shown.isprintable()
    if shown.startswith('"'):
        assert json.loads(shown) == name
    else:
        assert shown == name
        assert shown not in {"", "-"}
        assert not set(shown) & set(" ,;→…\\")


@given(NAMES, NAMES)
def test_different_names_look_different(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) == (one == other)


def test_long_paths_and_lists_are_cut_in_the_middle_and_at_the_end() -> None:
    names = [f"s{number}" for number in range(30)]
    assert path(names[:8]) == " → ".join(names[:8])
    assert path(names) == "s0 → s1 → s2 → s3 → … 23 more … → s27 → s28 → s29"
    assert listed(names, 400) == "s0, s1, s2, s3, s4, and 395 more"


@given(TABLES)
def test_an_answer_keeps_within_its_bound_and_counts_what_it_leaves_out(
    given_rows: list[list[tuple[Name, int | None]]],
) -> None:
    tables = [
        Table(f"table {number}", ("service", "hops"), rows, len(rows) + number, "ask for less")
        for number, rows in enumerate(given_rows)
    ]
    answer = Answer(["a summary"], tables, freshness=GetStatusResponse().freshness).bounded()
    text, structured = answer.text(), answer.structured()
    assert len(text.encode("utf-8", "surrogatepass")) <= MAX_BYTES
    assert len(json.dumps(structured, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= MAX_BYTES
    lines = text.split("\n")
    assert len(lines) == 2 + sum(
        (2 + len(table.rows) if table.rows else 0) + bool(table.left_out) for table in answer.tables
    )
    for before, after in zip(tables, answer.tables, strict=True):
        assert list(after.rows) == list(before.rows[: len(after.rows)])
        rest = before.total - len(after.rows)
        assert after.left_out.startswith(f"{rest:,} of " if rest else "")


def test_an_answer_of_few_rows_is_whole_whatever_its_other_tables_have() -> None:
    many = [(Name(f"service-{number}"), number) for number in range(5_000)]
    few = [(Name("checkout"), 1)]
    for tables in ([many, few], [few, many]):
        made = [Table(str(len(rows)), ("service", "hops"), rows, len(rows), "") for rows in tables]
        kept = {table.title: len(table.rows) for table in Answer([], made).bounded().tables}
        assert kept["1"] == 1
        assert 200 < kept["5000"] < 5_000
