"""
Kiali's graph, the answer of its ``/api/namespaces/graph``: nodes and edges for cytoscape.

Nodes have hashed ids; what they are stands in ``nodeType``, ``service``, ``app`` and ``workload``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_GATEWAY,
    ServiceKind,
)
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.naming import NameRules
from server.formats.prometheus import is_no_service
from server.formats.reading import Call, Draft, Link, Reading, link_problem, protocol_of
from server.formats.servicegraph import DEFAULT_NAMES

_UNKNOWN = ("", "unknown")
_PASSING_TYPES = ("service", "aggregate")
NO_TRAFFIC = "an edge without traffic"


@dataclass(slots=True)
class _Node:
    """A node of the graph; ``targets`` are ids of the nodes to which its edges lead."""

    fields: dict[str, Any]
    targets: list[str] = field(default_factory=list)
    is_passing: bool = False

    @property
    def kind(self) -> str:
        return self.text("nodeType")

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return value if isinstance(value, str) and value not in _UNKNOWN else ""


def read_kiali(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read a graph, plain or gzip. O(size).

    Names may use ``{service}``, ``{namespace}``, ``{app}``, ``{workload}``, ``{version}`` and
    ``{cluster}``. A service node between workloads (A → service → B) is the call A → B. Nodes that
    only group others (boxes) are none. ``FormatError`` when the file is something else.
    """
    elements = _elements(json_document(raw))
    nodes = dict(_fields(elements, "nodes"))
    by_id = {str(fields.get("id")): _Node(fields) for fields in nodes.values()}
    edges = list(_fields(elements, "edges"))
    _connect(by_id, edges)
    draft = Draft(DISCOVERY_SOURCE_SERVICE_MESH)
    for _, edge in edges:
        source = by_id[edge["source"]]
        if source.is_passing:  # the second half of a call, of which the first is an edge too
            draft.take(Call(()))
        else:
            _take(draft, source, edge, by_id, names)
    return draft.reading()


def _take(
    draft: Draft, source: _Node, edge: dict[str, Any], by_id: dict[str, _Node], names: NameRules
) -> None:
    protocol = _protocol(edge.get("traffic"))
    if protocol is None:
        draft.skip(NO_TRAFFIC)
        return
    calls = [_call(source, by_id[end], protocol, names) for end in _ends(edge["target"], by_id)]
    links = tuple(link for call in calls if isinstance(call, Call) for link in call.links)
    kinds = tuple(kind for call in calls if isinstance(call, Call) for kind in call.kinds)
    problem = next((call for call in calls if isinstance(call, str)), "an edge that leads nowhere")
    draft.take(Call(links, kinds) if links else problem)


def _call(source: _Node, target: _Node, protocol: str, names: NameRules) -> Call | str:
    ends = _attributes(source), _attributes(target)
    for role, node, attributes in zip(("caller", "callee"), (source, target), ends, strict=True):
        if node.fields.get("isWaypoint"):
            return f"the {role} is a waypoint, which reports the calls that it passes on"
        if not attributes["service"]:
            return f"the {role} is 'unknown'"
        if problem := is_no_service(attributes["service"]):
            return f"the {role} is {problem}"
    caller, callee = map(names.name_of, ends)
    kinds = ((caller, _kind(source)), (callee, _kind(target)))
    return link_problem(caller, callee) or Call(
        (Link(caller, callee, protocol=protocol),), tuple(each for each in kinds if each[1])
    )


def _kind(node: _Node) -> ServiceKind.ValueType:
    entry = node.fields.get("isServiceEntry")
    if isinstance(entry, dict) and entry.get("location") == "MESH_EXTERNAL":
        return SERVICE_KIND_EXTERNAL
    return SERVICE_KIND_GATEWAY if node.fields.get("isGateway") else ServiceKind.SERVICE_KIND_UNSPECIFIED


def _attributes(node: _Node) -> dict[str, str]:
    """List what a name's template may use of a node."""
    attributes = {name: node.text(name) for name in ("namespace", "app", "workload", "version", "cluster")}
    service = node.text("service") if node.kind == "service" else ""
    return attributes | {
        "service": service or attributes["app"] or attributes["workload"] or node.text("service")
    }


def _connect(by_id: dict[str, _Node], edges: list[tuple[int, dict[str, Any]]]) -> None:
    """Note where edges lead, and which nodes only stand between caller and callee."""
    for place, edge in edges:
        for end in ("source", "target"):
            if not isinstance(edge.get(end), str) or edge[end] not in by_id:
                raise FormatError(f"elements.edges[{place}]: {end} is not the id of a node")
        by_id[edge["source"]].targets.append(edge["target"])
    for node in by_id.values():
        ends = {by_id[target].kind for target in node.targets}
        node.is_passing = bool(ends) and (
            node.kind == "aggregate" or (node.kind == "service" and not ends <= set(_PASSING_TYPES))
        )


def _ends(start: str, by_id: dict[str, _Node]) -> list[str]:
    """List the nodes that an edge leads to, through those that only stand in between."""
    ends, seen, unseen = [], {start}, [start]
    while unseen:
        node_id = unseen.pop()
        node = by_id[node_id]
        if not node.is_passing:
            ends.append(node_id)
            continue
        for target in node.targets:
            if target not in seen:
                seen.add(target)
                unseen.append(target)
    return ends


def _protocol(traffic: Any) -> str | None:
    """Return the protocol of an edge, empty if it is not known; None = it has no traffic."""
    if not isinstance(traffic, dict):
        return None
    rates = traffic.get("rates")
    protocol = traffic.get("protocol")
    rated = any(_is_rate(name, value) for name, value in rates.items()) if isinstance(rates, dict) else False
    return (protocol_of(protocol) if isinstance(protocol, str) else "") if rated else None


def _is_rate(name: str, value: Any) -> bool:
    """Tell whether there were calls: a rate is text, and shares stand among them."""
    if "Percent" in name:
        return False
    try:
        return float(value) > 0
    except (TypeError, ValueError, OverflowError):
        return False


def _elements(document: Any) -> dict[str, Any]:
    elements = document.get("elements") if isinstance(document, dict) else None
    if not isinstance(elements, dict):
        raise FormatError(f"not a graph of Kiali: expected elements, found {kind_of(document)}")
    return elements


def _fields(elements: dict[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the ``data`` of nodes or edges, each with its place; there may be none (null)."""
    entries = elements.get(name) or []
    if not isinstance(entries, list):
        raise FormatError(f"elements.{name}: expected a list, found {kind_of(entries)}")
    for place, entry in enumerate(entries):
        fields = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(fields, dict):
            raise FormatError(
                f"elements.{name}[{place}]: expected an object with data, found {kind_of(entry)}"
            )
        if name == "edges" or fields.get("nodeType") != "box":
            yield place, fields
