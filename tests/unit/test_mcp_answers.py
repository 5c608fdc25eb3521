"""Answers of tools for agents: names can't break them, and they keep within their bound."""

import json
from collections.abc import AsyncIterator

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.alert_service_pb2 import ListAlertsResponse
from depgraph.v1.analysis_service_pb2 import Cut, SuggestCutsResponse
from depgraph.v1.graph_service_pb2 import GetStatusResponse
from depgraph.v1.history_service_pb2 import Change, ListChangesRequest
from depgraph.v1.types_pb2 import CircularDependencyAlert, ResolvedAlias
from server.web.mcp.answer import MAX_BYTES, Answer, Name, Table
from server.web.mcp.asking import AnswerT
from server.web.mcp.cycles import CYCLES
from server.web.mcp.naming import listed, path, quoted
from server.web.mcp.tools import call
from server.web.mcp.what_changed import WHAT_CHANGED

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
        assert before.total is not None
        rest = before.total - len(after.rows)
        assert after.left_out.startswith(f"{rest:,} of " if rest else "")


def test_sentences_and_aliases_are_bounded_too() -> None:
    long = "\u202e" * 255
    aliases = [ResolvedAlias(alias=f"{number}{long}"[:255], service_id=long) for number in range(400)]
    lines = [f"path {number}: {path([long] * 9)}" for number in range(20)]
    whole = Answer(["2 paths", *lines], [], lines, GetStatusResponse().freshness, aliases)
    answer = whole.bounded()
    text, structured = answer.text(), answer.structured()
    assert len(text.encode()) <= MAX_BYTES
    assert len(json.dumps(structured, ensure_ascii=False).encode()) <= MAX_BYTES
    for told in (text.split("\n"), structured["summary"]):
        assert told[:2] == ["2 paths", "left out: 20 more lines like these: ask for less"]
        assert f"left out: {400 - len(answer.aliases)} more aliases: ask for less" in told


def test_rows_that_were_not_counted_are_said_to_be_more() -> None:
    answer = Answer([], [Table("alerts", ("alert",), [("a",)], None, "ask for one service")]).bounded()
    assert answer.text().startswith(
        "alerts (1 of more):\nalert\na\nleft out: more alerts: ask for one service"
    )
    assert answer.structured()["tables"]["alerts"]["total"] is None


@pytest.mark.parametrize(("service", "cuts", "hint"), [("", 5, "give a service of the cycle"), ("s1", 9, "")])
async def test_cycles_count_what_they_leave_out(service: str, cuts: int, hint: str) -> None:
    alerts = [
        CircularDependencyAlert(id=f"{n:08}", is_present=n == 3, cycle_path=["s1", "s2"]) for n in range(4)
    ]
    answers: dict[str, Message] = {
        "GetStatus": GetStatusResponse(),
        "ListAlerts": ListAlertsResponse(alerts=alerts),
        "SuggestCuts": SuggestCutsResponse(cuts=[Cut()] * 9),
    }

    async def ask(method: str, request: Message, answer: type[AnswerT]) -> AsyncIterator[AnswerT]:
        message = answers[method.rpartition("/")[2]]
        assert isinstance(message, answer)
        assert request.DESCRIPTOR.name == f"{method.rpartition('/')[2]}Request"
        yield message

    asked = {"service": service, "limit": 3} if service else {"limit": 3}
    answer = await call(CYCLES, asked, ask)
    found, suggested = answer.tables
    assert (len(found.rows), found.total) == (3, None)
    assert found.left_out.startswith("more alerts: give a service or a status, or a higher limit")
    assert (len(suggested.rows), suggested.total) == (cuts, 9)
    assert suggested.left_out == (f"4 of 9 cuts: {hint}" if hint else "")


async def test_of_metadata_and_retries_what_changed_has_only_the_parts_that_differ() -> None:
    many = {f"label-{number}": "as it was" for number in range(20)}
    change = ParseDict(
        {
            "service": {
                "kind": "CHANGE_KIND_CHANGED",
                "after": {"serviceId": "checkout"},
                "fields": [
                    {"field": "metadata", "before": many, "after": {**many, "on call": "ann"}},
                    {
                        "field": "criticality",
                        "before": "CRITICALITY_LOW",
                        "after": "CRITICALITY_HIGH",
                    },
                ],
            }
        },
        Change(),
    )

    async def ask(method: str, request: Message, answer: type[AnswerT]) -> AsyncIterator[AnswerT]:
        if request.DESCRIPTOR is ListChangesRequest.DESCRIPTOR:
            yield answer(changes=[change])

    changes, *_ = (await call(WHAT_CHANGED, {}, ask)).tables
    assert changes.rows[0][-2:] == (
        "service checkout",
        'metadata."on call" unset → ann; criticality low → high',
    )


def test_an_answer_of_few_rows_is_whole_whatever_its_other_tables_have() -> None:
    many = [(Name(f"service-{number}"), number) for number in range(5_000)]
    few = [(Name("checkout"), 1)]
    for tables in ([many, few], [few, many]):
        made = [Table(str(len(rows)), ("service", "hops"), rows, len(rows), "") for rows in tables]
        kept = {table.title: len(table.rows) for table in Answer([], made).bounded().tables}
        assert kept["1"] == 1
        assert 200 < kept["5000"] < 5_000
