"""No I/O: what ``depgraph show`` draws, whatever the names hold."""

import re
from collections.abc import Sequence
from html import unescape
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import TraverseResponse
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    COMMUNICATION_MODE_UNKNOWN,
    CRITICALITY_CRITICAL,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    EffectiveDependency,
    Service,
)
from server.cli.render.diagrams import Diagram, dot_escaped, dot_lines, mermaid_escaped, mermaid_lines
from server.cli.render.labels import dependency_label, short_label
from server.cli.render.neighbourhood import Branch, Neighbourhood, explore, print_tree, tree_lines
from server.cli.render.text import counted, printable, visible, wrapped

NASTY = [
    'say "hi"',
    "a]b[c",
    "[bold]red[/bold]",
    "line\nbreak",
    "back\\slash",
    "ends with \\",
    "\x1b[31mred",
    "right\u202eleft",
    "#quot;",
    "&lt;b&gt;",
    "<script>",
    "style:x#y;",
    "`code`",
    "end",
    "支付",
    "tab\there",
    "\ud800",
]
any_name = st.text(st.characters(), min_size=1, max_size=20) | st.sampled_from(NASTY)
stored_name = st.text(min_size=1, max_size=20) | st.sampled_from([name for name in NASTY if name != "\ud800"])


def dependency(source: str, target: str) -> Dependency:
    return Dependency(
        source_service_id=source,
        target_service_id=target,
        communication_mode=COMMUNICATION_MODE_SYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        discovery_source=DISCOVERY_SOURCE_MANUAL,
    )


def path(*names: str) -> list[Dependency]:
    return [dependency(source, target) for source, target in pairwise(names)]


def branch(
    start: str, found: list[Dependency], end: str, *, depth: int, fan: int = 0, critical: Sequence[str] = ()
) -> Branch:
    """Explore a plain list of dependencies; ``end`` is the field that names the near service."""
    pairs = [(each.source_service_id, each.target_service_id) for each in found]
    graph = nx.DiGraph(pairs if end == "source_service_id" else [pair[::-1] for pair in pairs])
    graph.add_node(start)

    def fetch(names: Sequence[str]) -> list[TraverseResponse]:
        rows = [Service(service_id=name, criticality=CRITICALITY_CRITICAL) for name in critical]
        return [
            TraverseResponse(
                dependencies=[each for each in found if getattr(each, end) == name], services=rows
            )
            for name in names
        ]

    reach = len(nx.single_source_shortest_path_length(graph, start, cutoff=depth)) - 1
    return explore(start, fetch, depth=depth, fan=fan, reach=reach)


def around(
    start: str, found: list[Dependency], depth: int = 3, fan: int = 0, critical: Sequence[str] = ()
) -> Neighbourhood:
    return Neighbourhood(
        start=start,
        calls=branch(start, found, "source_service_id", depth=depth, fan=fan, critical=critical),
        called_by=branch(start, found, "target_service_id", depth=depth, fan=fan, critical=critical),
    )


def drawn(neighbourhood: Neighbourhood, *about: str) -> list[str]:
    return [line.prefix + line.text.plain for line in tree_lines(neighbourhood, about)]


def tree(
    start: str, found: list[Dependency], depth: int = 3, fan: int = 0, critical: Sequence[str] = ()
) -> list[str]:
    return drawn(around(start, found, depth, fan, critical))


def test_a_tree_shows_what_a_service_calls_and_who_calls_it() -> None:
    assert tree("b", [*path("a", "b", "c"), *path("b", "d")]) == [
        "b",
        "├── calls 2 services",
        "│   ├── c  sync hard",
        "│   └── d  sync hard",
        "└── called by 1 service",
        "    └── a  sync hard",
    ]


def test_a_service_without_neighbours_says_so() -> None:
    assert tree("a", []) == ["a", "├── calls no service", "└── called by no service"]


def test_one_direction_is_one_branch() -> None:
    lines = drawn(Neighbourhood("a", branch("a", path("a", "b"), "source_service_id", depth=1), None))
    assert lines == ["a", "└── calls 1 service", "    └── b  sync hard"]


def test_what_is_known_of_a_service_stands_beside_its_name_and_below() -> None:
    lines = drawn(around("a", []), "critical, team web", "tier: 1")
    assert lines[:3] == ["a  critical, team web", "│   tier: 1", "├── calls no service"]


def test_services_further_away_are_reached_and_not_called() -> None:
    lines = tree("b", [*path("x", "a", "b", "c", "d"), *path("b", "e")], depth=2)
    assert [line for line in lines if "called" in line or "calls" in line] == [
        "├── calls 2 services, reaches 3 within 2 hops",
        "└── called by 1 service, reached by 2 within 2 hops",
    ]


def test_the_most_important_neighbours_come_first() -> None:
    found = [dependency("a", name) for name in ("hard", "soft", "waits", "vital", "stale")]
    found[1].criticality = DEPENDENCY_CRITICALITY_SOFT
    found[2].communication_mode = COMMUNICATION_MODE_ASYNC
    found[4].is_stale = True
    lines = tree("a", found, depth=1, critical=["vital", "stale"])[2:7]
    assert [line.split()[2] for line in lines] == ["vital", "hard", "waits", "soft", "stale"]
    assert tree("a", found, depth=1, fan=2, critical=["vital"])[3:5] == [
        "│   ├── hard  sync hard",
        "│   └── … and 3 more",
    ]


def test_a_call_back_up_the_branch_is_marked_as_a_cycle() -> None:
    lines = tree("a", path("a", "b", "c", "a"))
    assert lines[1:5] == [
        "├── calls 1 service, reaches 2 within 3 hops",
        "│   └── b  sync hard",
        "│       └── c  sync hard",
        "│           └── a  sync hard  ↺ cycle",
    ]


def test_a_service_is_expanded_once_where_it_is_fewest_hops_away() -> None:
    lines = tree("a", [*path("a", "b", "x", "y"), *path("a", "x")])
    assert lines[2:6] == [
        "│   ├── b  sync hard",
        "│   │   └── x  sync hard  ↓ expanded under a",
        "│   └── x  sync hard",
        "│       └── y  sync hard",
    ]


def test_arrows_point_up_and_down_to_where_a_service_is_expanded() -> None:
    lines = tree("a", [*path("a", "b", "x", "y"), *path("a", "c", "x"), *path("b", "c"), *path("c", "z")])
    assert lines[2:8] == [
        "│   ├── b  sync hard",
        "│   │   ├── c  sync hard  ↓ expanded under a",
        "│   │   └── x  sync hard",
        "│   │       └── y  sync hard",
        "│   └── c  sync hard",
        "│       ├── x  sync hard  ↑ expanded under b",
    ]


def test_a_leaf_that_is_reached_twice_is_not_marked() -> None:
    assert not [line for line in tree("a", [*path("a", "b", "x"), *path("a", "x")]) if "expanded" in line]


def test_nothing_beyond_the_depth_is_drawn() -> None:
    assert not [line for line in tree("a", path("a", "b", "c", "d"), depth=2) if "d" in line.split()]


def test_a_large_fan_is_cut_and_counted() -> None:
    found = [dependency("hub", f"s{number:04}") for number in range(1_234)]
    lines = tree("hub", found, fan=2)
    assert lines[1:5] == [
        "├── calls 1,234 services",
        "│   ├── s0000  sync hard",
        "│   ├── s0001  sync hard",
        "│   └── … and 1,232 more",
    ]


def test_a_service_behind_a_cut_is_expanded_where_it_is_drawn() -> None:
    found = [*path("a", "b"), *path("a", "c"), *path("a", "z"), *path("b", "z", "end")]
    lines = tree("a", found, fan=2)
    assert "│   │   └── z  sync hard" in lines
    assert "│   │       └── end  sync hard" in lines


def test_the_order_of_the_answer_does_not_matter() -> None:
    found = [*path("a", "b", "c", "a"), *path("a", "c"), *path("d", "a", "e")]
    assert tree("a", found) == tree("a", found[::-1])


def test_a_label_says_what_each_source_saw() -> None:
    declared = dependency("a", "b")
    declared.protocol, declared.timeout_ms = "grpc", 1_500
    seen = Dependency(
        communication_mode=COMMUNICATION_MODE_ASYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        confidence_score=0.85,
        is_stale=True,
    )
    assert dependency_label([declared, seen]) == (
        "sync hard grpc 1,500 ms + async hard (otel service graph) confidence 0.85 stale"
    )


@pytest.mark.parametrize(
    ("mode", "criticality", "said"),
    [
        (COMMUNICATION_MODE_UNKNOWN, DEPENDENCY_CRITICALITY_UNKNOWN, "unknown"),
        (COMMUNICATION_MODE_SYNC, DEPENDENCY_CRITICALITY_UNKNOWN, "sync of unknown criticality"),
        (COMMUNICATION_MODE_UNKNOWN, DEPENDENCY_CRITICALITY_SOFT, "soft of unknown mode"),
        (9, DEPENDENCY_CRITICALITY_SOFT, "9 soft"),
    ],
)
def test_what_no_source_knows_of_a_dependency_is_said(mode: Any, criticality: Any, said: str) -> None:
    assert short_label([Dependency(communication_mode=mode, criticality=criticality)]) == said


def test_a_label_of_all_sources_together_names_them() -> None:
    together = EffectiveDependency(
        communication_mode=COMMUNICATION_MODE_SYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        protocol="grpc",
        timeout_ms=800,
        confidence_score=0.5,
        discovery_sources=[DISCOVERY_SOURCE_MANUAL, DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH],
    )
    assert dependency_label([together]) == "sync hard grpc 800 ms (manual, otel service graph) confidence 0.5"
    del together.discovery_sources[1:]
    assert dependency_label([together]) == "sync hard grpc 800 ms confidence 0.5"


@given(any_name, any_name)
def test_different_names_are_shown_as_different_single_lines(one: str, other: str) -> None:
    assert visible(one).isprintable()
    assert (visible(one) == visible(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"), [("a\nb", "a\\nb"), ("\x1b[0m", "\\x1b[0m"), ("ünï 支付", "ünï 支付")]
)
def test_only_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(any_name.filter(str.isprintable))
def test_markup_in_a_name_is_shown_as_it_is(name: str) -> None:
    assert tree(name, [])[0] == visible(name)


@given(any_name)
def test_a_mermaid_label_reads_back_as_the_name(name: str) -> None:
    escaped = mermaid_escaped(name)
    assert not set(escaped) & set('"[]{}()<>|`\\:%&\n')
    assert re.sub(r"#(\d+);", lambda entity: chr(int(entity[1])), escaped) == visible(name)


@given(any_name)
def test_a_dot_label_reads_back_as_the_name(name: str) -> None:
    escaped = dot_escaped(name)
    tokens = re.fullmatch(r'(?:[^"\\]|\\["\\])*', escaped)
    assert tokens is not None
    assert unescape(re.sub(r"\\(.)", r"\1", escaped)) == visible(name)


@given(st.lists(st.tuples(stored_name, stored_name).filter(lambda pair: pair[0] != pair[1]), max_size=8))
def test_drawings_have_one_line_a_service_and_one_a_pair(pairs: list[tuple[str, str]]) -> None:
    found = [dependency(source, target) for source, target in pairs]
    start = pairs[0][0] if pairs else "a"
    picture = around(start, found, depth=10)
    reached = {name for source, link in picture.edges for name in (source, link.service_id)} | {start}
    chart, graph = list(mermaid_lines(Diagram.around(picture))), list(dot_lines(Diagram.around(picture)))
    assert sum(line.endswith('"]') for line in chart) == len(reached)
    assert sum('"| n' in line for line in chart) == len(picture.edges)
    assert sum("-> n" in line for line in graph) == len(picture.edges)


def test_arrows_point_from_the_caller_to_the_callee() -> None:
    picture = around("b", path("a", "b", "c"))
    assert list(mermaid_lines(Diagram.around(picture))) == [
        "flowchart LR",
        '    n0["b"]',
        '    n1["a"]',
        '    n2["c"]',
        "    style n0 stroke-width:3px",
        '    n1 -->|"sync hard"| n0',
        '    n0 -->|"sync hard"| n2',
    ]
    assert '    n1 -> n0 [label="sync hard", tooltip="sync hard", style=solid];' in dot_lines(
        Diagram.around(picture)
    )


def test_a_cut_fan_is_a_node_of_its_own_in_drawings() -> None:
    callers = [dependency(f"s{number}", "hub") for number in range(5)]
    picture = around("hub", callers, fan=2)
    assert '    n0_callers(["… and 3 more"])' in list(mermaid_lines(Diagram.around(picture)))
    assert "    n0_callers -> n0 [style=dotted, arrowhead=none];" in list(dot_lines(Diagram.around(picture)))


def test_the_number_of_a_cut_fan_has_thousands_separators() -> None:
    picture = around("hub", [dependency(f"s{number}", "hub") for number in range(1_234)], fan=2)
    assert '    n0_callers(["… and 1,232 more"])' in list(mermaid_lines(Diagram.around(picture)))
    assert '    n0_callers [label="… and 1,232 more", shape=plaintext];' in list(
        dot_lines(Diagram.around(picture))
    )


def test_no_line_of_a_narrow_tree_ends_with_a_blank_or_is_too_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.cli.render.neighbourhood.screen_width", lambda: 60)
    name = "x" * (60 - len("│         "))
    print_tree(around("a", path("a", name, "y")), ["critical", "purpose: " + "z" * 60])
    lines = capsys.readouterr().out.splitlines()
    assert f"│   └── {name}" in lines
    assert [line for line in lines if line != line.rstrip() or len(line) > 60] == []


@pytest.mark.parametrize("text", ["one  two", "one   two", "one two"])
def test_a_line_that_is_broken_at_several_blanks_ends_with_none(text: str) -> None:
    assert [part.strip() for part in wrapped(text, 5)] == ["one", "two"]
    assert next(wrapped(text, 5)) == "one"


def test_labels_of_drawings_are_short_and_the_rest_is_a_tooltip_in_dot() -> None:
    declared, seen = dependency("a", "b"), dependency("a", "b")
    declared.protocol, declared.timeout_ms = "grpc", 1_500
    seen.discovery_source = DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    picture = around("a", [declared, seen])
    assert '    n0 -->|"sync hard"| n1' in mermaid_lines(Diagram.around(picture))
    whole = "sync hard grpc 1,500 ms + sync hard (otel service graph)"
    assert f'    n0 -> n1 [label="sync hard", tooltip="{whole}", style=solid];' in dot_lines(
        Diagram.around(picture)
    )
    fonts = [line for line in dot_lines(Diagram.around(picture)) if "fontname" in line]
    assert len(fonts) == 2
    assert all('fontname="sans-serif"' in line for line in fonts)


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 service"), (0, "0 services"), (21_808, "21,808 services")]
)
def test_numbers_are_counted_in_words(number: int, said: str) -> None:
    assert counted(number, "service") == said
