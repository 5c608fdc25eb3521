"""What ``depgraph diff`` and ``depgraph changes`` print, from a handful to ten thousand changes."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.analysis_service_pb2 import (
    CYCLE_CHANGE_KIND_CREATED,
    Cycle,
    CycleChange,
    ImpactChange,
)
from depgraph.v1.history_service_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_CHANGED,
    CHANGE_KIND_REMOVED,
    AliasChange,
    Change,
    DependencyChange,
    DiffGraphResponse,
    FieldChange,
    ListChangesRequest,
    ListChangesResponse,
    PointInTime,
    ServiceChange,
)
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    CRITICALITY_HIGH,
    CRITICALITY_LOW,
    DEPENDENCY_CRITICALITY_HARD,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
    Freshness,
    ResolvedAlias,
    Service,
)
from server.cli.commands.changes import _lines as change_lines
from server.cli.commands.changes import _read as read_changes
from server.cli.commands.diff import TimeOrRevision, read_point
from server.cli.commands.diff import _lines as diff_lines
from server.cli.failures import CommandError
from server.cli.past import dated
from server.cli.render.changes import change_cells
from server.cli.render.text import print_lines
from server.cli.times import read_time, written
from server.domain.revision import Revision

MARKED = Freshness(revision="then", as_of_time=Timestamp(seconds=1_796_091_120, nanos=999_000_000))
# To the second, rounded up: --as-of of it finds this mark, not the one before.
MARK = written(datetime.fromtimestamp(1_796_091_121, UTC))
THEN = TimeOrRevision(PointInTime(), "2026-12-01 02:12:00+00:00")


def field(name: str, before: Any = None, after: Any = None) -> FieldChange:
    change = FieldChange(field=name)
    for side, value in (("before", before), ("after", after)):
        if isinstance(value, dict):
            getattr(change, side).struct_value.update(value)
        elif isinstance(value, bool):
            getattr(change, side).bool_value = value
        elif isinstance(value, str):
            getattr(change, side).string_value = value
        elif value is not None:
            getattr(change, side).number_value = value
    return change


def call(source: str, target: str, **said: Any) -> Dependency:
    usual = {
        "communication_mode": COMMUNICATION_MODE_SYNC,
        "criticality": DEPENDENCY_CRITICALITY_HARD,
        "discovery_source": DISCOVERY_SOURCE_MANUAL,
    }
    return Dependency(source_service_id=source, target_service_id=target, **usual | said)


def changed(source: str, target: str, *fields: FieldChange, **said: Any) -> DependencyChange:
    row = call(source, target, **said)
    return DependencyChange(kind=CHANGE_KIND_CHANGED, before=row, after=row, fields=fields)


def added(source: str, target: str) -> DependencyChange:
    return DependencyChange(kind=CHANGE_KIND_ADDED, after=call(source, target))


def removed(source: str, target: str) -> DependencyChange:
    return DependencyChange(kind=CHANGE_KIND_REMOVED, before=call(source, target, timeout_ms=1500))


def difference(**parts: Any) -> DiffGraphResponse:
    ends: dict[str, Any] = {"from": MARKED, "to": Freshness(revision="now")}
    return DiffGraphResponse(**ends, **parts)


def printed(answer: DiffGraphResponse, top: int = 50) -> list[str]:
    return "\n".join(diff_lines(answer, THEN, THEN, top)).splitlines()


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        (field("timeout_ms", 300, 3000), "timeout_ms: 300 → 3,000"),
        (field("timeout_ms", None, 250), "timeout_ms: unset → 250"),
        (field("protocol", "grpc"), "protocol: grpc → unset"),
        (field("confidence_score", 0.5, 0.975), "confidence_score: 0.5 → 0.975"),
        (field("is_stale", False, True), "is_stale: false → true"),
        (
            field("communication_mode", "COMMUNICATION_MODE_SYNC", "COMMUNICATION_MODE_ASYNC"),
            "communication_mode: sync → async",
        ),
        (field("criticality", "DEPENDENCY_CRITICALITY_HARD", "NEWER_WORD"), "criticality: hard → NEWER_WORD"),
        (
            field(
                "retry_config",
                {"maxRetries": 3, "backoffStrategy": "BACKOFF_STRATEGY_LINEAR"},
                {"maxRetries": 5, "backoffStrategy": "BACKOFF_STRATEGY_LINEAR"},
            ),
            "retry_config.max_retries: 3 → 5",
        ),
        (
            field("retry_config", None, {"backoffStrategy": "BACKOFF_STRATEGY_LINEAR"}),
            "retry_config.backoff_strategy: unset → linear",
        ),
        (field("a_newer_field", "a", "b"), "a_newer_field: a → b"),
        (field("protocol", "a\x1b[2J", "ü" * 100), f"protocol: a\\x1b[2J → {'ü' * 59}…"),
    ],
)
def test_a_field_is_written_as_people_know_it(change: FieldChange, cells: str) -> None:
    assert change_cells(changed("a", "b", change)) == ("~ a → b", cells)


def test_of_metadata_only_the_keys_that_differ_are_written() -> None:
    before = {"tier": "core", "language": "Go", "pci": True, "owner": {"name": "ann", "floor": 2}}
    after = {"tier": "core", "pci": False, "owner": {"name": "bob", "floor": 2}, "carriers": ["post"]}
    service = Service(service_id="søk", criticality=CRITICALITY_HIGH)
    change = ServiceChange(
        kind=CHANGE_KIND_CHANGED, before=service, after=service, fields=[field("metadata", before, after)]
    )
    name, what = change_cells(change)
    assert name == "~ søk"
    assert sorted(what.split(", ")) == [
        'metadata.carriers: unset → ["post"]',
        "metadata.language: Go → unset",
        "metadata.owner.name: ann → bob",
        "metadata.pci: true → false",
    ]


def test_what_came_or_went_is_described_as_it_is_or_was() -> None:
    assert change_cells(added("a", "b")) == ("+ a → b", "sync hard")
    assert change_cells(removed("a", "b")) == ("- a → b", "sync hard 1,500 ms")
    mesh = changed("a", "b", field("timeout_ms", 1, 2), discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    assert change_cells(mesh) == ("~ a → b", "timeout_ms: 1 → 2 (service mesh)")
    came = ServiceChange(kind=CHANGE_KIND_ADDED, after=Service(service_id="x", criticality=CRITICALITY_HIGH))
    assert change_cells(came) == ("+ x", "high")
    renamed = ServiceChange(
        kind=CHANGE_KIND_CHANGED,
        before=Service(service_id="old"),
        after=Service(service_id="new"),
        fields=[field("service_id", "old", "new")],
    )
    assert change_cells(renamed) == ("~ new", "service_id: old → new")
    assert change_cells(AliasChange(kind=CHANGE_KIND_ADDED, alias="n", after="x")) == ("+ n", "x")
    assert change_cells(AliasChange(kind=CHANGE_KIND_REMOVED, alias="n", before="x")) == ("- n", "x")
    moved = AliasChange(kind=CHANGE_KIND_CHANGED, alias="n", before="x", after="y")
    assert change_cells(moved) == ("~ n", "x → y")


def test_a_difference_begins_with_counts_and_cycles() -> None:
    cycle = Cycle(size=2, cycle_path=["a", "b"])
    gone = Service(service_id="c", team="web", criticality=CRITICALITY_LOW)
    answer = difference(
        services=[ServiceChange(kind=CHANGE_KIND_REMOVED, before=gone)],
        dependencies=[
            changed("a", "c", field("timeout_ms", 1, 2), field("protocol", "x", "y")),
            added("b", "a"),
            changed("b", "c", field("timeout_ms", 1, 2)),
        ],
        aliases=[AliasChange(kind=CHANGE_KIND_ADDED, alias="n", after="a")],
        cycle_changes=[CycleChange(kind=CYCLE_CHANGE_KIND_CREATED, after=[cycle])],
        impact_changes=[
            ImpactChange(service_id="a", before=1, after=2, added_count=1, added_service_ids=["b"])
        ],
        impact_change_count=7,
    )
    assert printed(answer) == [
        f"from 2026-12-01 02:12:00+00:00 (marked {MARK})",
        "to   2026-12-01 02:12:00+00:00 (now)",
        "",
        "cycles        1 created",
        "services      1 removed",
        "dependencies  1 added, 2 changed (timeout_ms of 2, protocol of 1)",
        "aliases       1 added",
        "blast radii   7 services",
        "",
        "cycles",
        "  created, 2 services: a → b → a",
        "",
        "services",
        "  - c  low, team web",
        "",
        "dependencies",
        "  + b → a  sync hard",
        "  ~ a → c  timeout_ms: 1 → 2, protocol: x → y",
        "  ~ b → c  timeout_ms: 1 → 2",
        "",
        "aliases",
        "  + n  a",
        "",
        "blast radii",
        "  SERVICE  BEFORE  AFTER  ADDED  REMOVED",
        "  a        1       2      1: b   -",
        "  … and 6 more (--top lists more)",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_difference_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    retries = field("retry_config", None, {"maxRetries": 3, "backoffStrategy": "BACKOFF_STRATEGY_LINEAR"})
    answer = difference(
        dependencies=[
            changed("a-service-of-a-long-name", "another-one", field("timeout_ms", 1, 2), retries),
            added("b", "a"),
        ]
    )
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    print_lines(diff_lines(answer, THEN, THEN, 50))
    assert max(map(len, screen.getvalue().splitlines())) <= 60
    monkeypatch.setenv("COLUMNS", "200")
    assert sorted(screen.getvalue().split()) == sorted(" ".join(printed(answer)).split())


def test_no_difference_is_said() -> None:
    assert printed(difference())[2:] == ["no difference"]


def test_ten_thousand_changes_take_a_screen_and_hide_nothing_rare() -> None:
    usual = [changed("hub", f"s{number:05}", field("is_stale", False, True)) for number in range(9_000)]
    others = [changed(f"t{number:04}", "hub", field("is_stale", False, True)) for number in range(990)]
    rare = changed("zebra", "hub", field("timeout_ms", 300, 3000))
    gone = [removed("web", f"s{number:05}") for number in range(9)]
    others_left = "988 of 988 others (--top 0 lists all)"
    lines = printed(difference(dependencies=[*usual, *others, rare, *gone]), top=5)
    assert lines[3:] == [
        "dependencies  9 removed, 9,991 changed (is_stale of 9,990, timeout_ms of 1)",
        "",
        "dependencies",
        *[f"  - web → s0000{number}  sync hard 1,500 ms" for number in range(5)],
        "  … and 4 more removed: 4 of web (--top 0 lists all)",
        "  ~ zebra → hub   timeout_ms: 300 → 3,000",
        *[f"  ~ hub → s0000{number}  is_stale: false → true" for number in range(4)],
        f"  … and 9,986 more changed: 8,996 of hub, 1 of t0000, 1 of t0001, {others_left}",
    ]
    assert len(printed(difference(dependencies=usual[:200]), top=0)) == 200 + 6


def single(second: int, who: str, subject: Any, **said: Any) -> Change:
    kind = {ServiceChange: "service", DependencyChange: "dependency", AliasChange: "alias"}[type(subject)]
    return Change(time=Timestamp(seconds=second), who=who, **{kind: subject}, **said)


def listed(*found: Change, service: str = "", top: int = 50, more: str = "", **said: Any) -> list[str]:
    answer = ListChangesResponse(changes=found, next_page_token=more, **said)
    request = ListChangesRequest(service_id=service)
    return "\n".join(change_lines(answer, request, top)).splitlines()


def test_changes_are_listed_with_time_and_who() -> None:
    at = written(Timestamp(seconds=100))
    alias = AliasChange(kind=CHANGE_KIND_ADDED, alias="n", after="a")
    assert listed(single(100, "ann", added("a", "b")), single(100, "", alias)) == [
        "",
        "TIME                       WHO  CHANGE",
        f"{at}  ann  + a → b  sync hard",
        f"{at}  -    + alias n  a",
    ]


def test_changes_near_a_service_have_their_distance() -> None:
    alias = [{"alias": "shop", "service_id": "checkout"}]
    change = single(100, "ann", added("a", "b"), hops=1)
    lines = listed(change, service="shop", resolved_aliases=alias)
    assert lines[0] == "within 2 hops of checkout (asked for by the alias shop)"
    assert lines[2].split() == ["TIME", "HOPS", "WHO", "CHANGE"]
    assert lines[3].split()[2:4] == ["1", "ann"]
    assert listed(service="shop") == ["within 2 hops of shop", "no changes"]


def test_a_large_transaction_does_not_hide_what_came_before_it() -> None:
    bulk = [single(200, "sync", added("a", f"b{number}"), revision="r2") for number in range(500)]
    culprit = single(100, "ann", changed("a", "c", field("timeout_ms", 1, 2)), revision="r1")
    lines = listed(*bulk, culprit, top=20)
    assert len(lines) == 2 + 10 + 1 + 1
    assert lines[-2].strip() == "… and 490 more of the same transaction"
    assert lines[-1].endswith("ann   ~ a → c  timeout_ms: 1 → 2")
    assert len(listed(*bulk, culprit, top=0)) == 2 + 501


def test_transactions_of_one_moment_are_told_apart() -> None:
    found = [single(100, "ann", added("a", f"b{number}"), revision=f"r{number}") for number in range(30)]
    assert len(listed(*found)) == 2 + 30


def test_changes_that_are_left_out_are_said() -> None:
    found = [single(100 - number, "ann", added("a", "b"), revision=f"r{number}") for number in range(5)]
    hint = "… and more (--top 0 lists all)"
    assert listed(*found, top=4)[-1] == hint
    assert listed(*found, top=5)[-1] != hint
    assert listed(*found, top=5, more="next")[-1] == hint


def read(pages: list[ListChangesResponse], top: int) -> tuple[ListChangesResponse, int]:
    """Read from a server that has these pages; returns how many were asked for, too."""
    asked: list[str] = []

    def list_changes(request: ListChangesRequest) -> ListChangesResponse:
        asked.append(request.page_token)
        return pages[int(request.page_token or 0)]

    client: Any = SimpleNamespace(history=SimpleNamespace(ListChanges=list_changes))
    return read_changes(client, ListChangesRequest(), top), len(asked)


def test_pages_are_read_until_there_are_enough_lines() -> None:
    alias = [ResolvedAlias(alias="shop", service_id="checkout")]
    pages = [
        ListChangesResponse(
            changes=[single(100, "ann", added("a", "b"), revision=f"r{number}") for number in range(10)],
            next_page_token=f"{place + 1}" if place < 2 else "",
            resolved_aliases=alias,
            until=MARKED if place else Freshness(revision="now"),
        )
        for place in range(3)
    ]
    whole, asked = read(pages, 0)
    assert (len(whole.changes), whole.next_page_token, asked) == (30, "", 3)
    assert (len(whole.resolved_aliases), whole.until.revision) == (1, "now"), "as the first page says"
    assert not whole.until.HasField("as_of_time")
    part, asked = read(pages, 15)
    assert (len(part.changes), part.next_page_token, asked) == (20, "2", 2)
    assert read(pages, 30)[1] == 3


def test_a_large_transaction_is_read_past_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    page = ListChangesResponse(changes=[single(100, "sync", added("a", "b"), revision="r")] * 100)
    pages = [ListChangesResponse(changes=page.changes, next_page_token=f"{place + 1}") for place in range(9)]
    pages.append(page)
    assert read(pages, 50)[1] == 10
    monkeypatch.setattr("server.cli.commands.changes.MOST_READ", 300)
    assert read(pages, 50)[1] == 3


def test_an_answer_about_the_past_says_its_state_and_whether_it_is_approximate() -> None:
    moment = read_time("2026-11-30T14:00:00Z")
    at, mark = written(moment), MARK
    assert dated(None, Freshness()) == []
    assert dated(moment, MARKED) == [f"as of {at} (marked {mark})"]
    approximate = Freshness(as_of_time=MARKED.as_of_time, approximate=True)
    assert dated(moment, approximate) == [
        f"as of {at} (marked {mark}, approximate: a dump was restored since)"
    ]


def test_a_server_that_ignores_as_of_is_not_believed() -> None:
    with pytest.raises(CommandError, match="does not know --as-of"):
        dated(read_time("2h"), Freshness(revision="now"))


def test_a_point_is_a_time_or_a_revision() -> None:
    token = Revision.parse("7:5:0f0e0d0c-0000-4000-8000-000000000000/100").token
    assert read_point(token).point == PointInTime(revision=token)
    assert read_point(token).said == f"revision {token[:16]}…"
    assert read_point("1970-01-01T00:01:40Z").point == PointInTime(time=Timestamp(seconds=100))
    with pytest.raises(ValueError, match="'soon' is no time"):
        read_point("soon")
