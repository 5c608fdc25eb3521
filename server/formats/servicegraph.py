"""
Series of a service graph: one for each pair of services that traces show to call each other.

The OpenTelemetry Collector's connector, Tempo, Alloy and Beyla write them with the labels
``client``, ``server`` and ``connection_type``, and dimensions of their users' choice: attributes of
the client's span with the prefix ``client_``, of the server's with ``server_``. Prometheus writes
dots in names as underscores, so both count as one.
"""

from collections.abc import Mapping

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_QUEUE,
    ServiceKind,
)
from server.formats.naming import NameRules
from server.formats.reading import Call, Link, link_problem, protocol_of

DEFAULT_NAMES = NameRules()
# What the connector calls a client that sent no span, and a server of which it knows nothing.
_UNTRACED_CLIENT = "user"
_UNKNOWN = "unknown"
# How OpenTelemetry names every program of one kind that has no name: ``unknown_service:java``.
_NAMELESS = "unknown_service"
_PEERS = ("peer_service", "service_peer_name")
_SIDES = ("client_", "server_")
_NAMESPACES = ("service_namespace", "k8s_namespace_name", "namespace")
_COUNTERS = ("traces_service_graph_request_total", "traces_service_graph_connection_info")


def counts_calls(metric: str) -> bool:
    """Tell whether a metric has a series for each call; exporters may put a prefix before it."""
    return metric.endswith(_COUNTERS)


def call_of(labels: Mapping[str, str], names: NameRules = DEFAULT_NAMES) -> Call | str:
    """
    Return the call of a series, or the reason why it is none. O(labels).

    - A call through a queue is two dependencies, producer → queue and consumer → queue; the queue
      is the destination, else the system. Where no label names either, it is one, by ``async``.
    - A client or server without spans (a virtual node) is what its peer calls it. ``user`` and
      ``unknown`` stand for peers without a name: no service.
    """
    labels = {name.replace(".", "_"): value for name, value in labels.items()}
    client, server = _ends(labels)
    for side, name in (("client", client), ("server", server)):
        if name == _UNKNOWN or name.startswith(_NAMELESS):
            return f"the {side} is '{_UNKNOWN}'"
    connection = labels.get("connection_type")
    is_virtual = connection == "virtual_node"
    if is_virtual and client == _UNTRACED_CLIENT:
        return "the client is 'user', a caller without traces"
    is_client_virtual = is_virtual and (
        client != labels.get("client") or labels.get("virtual_node") == "client"
    )
    source = names.name_of(_attributes("client_", client, labels))
    target = names.name_of(_attributes("server_", server, labels))
    if problem := link_problem(source, target):
        return problem
    if connection == "messaging_system" or _dimension(labels, "messaging_system"):
        is_queue = is_virtual and not is_client_virtual
        return _message(source, target, labels, names, is_queue=is_queue)
    virtual = source if is_client_virtual else target if is_virtual else ""
    return _request(source, target, labels, virtual)


def _ends(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return client and server; the other one may know the name of one that has no spans."""
    client, server = labels.get("client", ""), labels.get("server", "")
    if client == _UNTRACED_CLIENT and labels.get("connection_type") == "virtual_node":
        client = _first(labels, "server_", _PEERS) or client
    if server == _UNKNOWN:
        server = _first(labels, "client_", _PEERS) or server
    return client, server


def _message(
    producer: str, server: str, labels: Mapping[str, str], names: NameRules, *, is_queue: bool
) -> Call | str:
    """Return a call through a queue; ``is_queue``: the server is the queue itself."""
    system = _dimension(labels, "messaging_system")
    protocol = protocol_of(system)
    if is_queue:
        link = Link(producer, server, COMMUNICATION_MODE_ASYNC, protocol)
        return Call((link,), ((server, SERVICE_KIND_QUEUE),))
    destination = (
        _dimension(labels, "messaging_destination_name")
        or _dimension(labels, "messaging_destination")
        or system
    )
    queue = names.name_of({"service": destination}) if destination else ""
    if not queue:
        return Call((Link(producer, server, COMMUNICATION_MODE_ASYNC, protocol),))
    ends = [end for end in (producer, server) if end != queue]
    for end in ends:
        if problem := link_problem(end, queue):
            return problem
    links = (Link(end, queue, COMMUNICATION_MODE_ASYNC, protocol) for end in ends)
    return Call(tuple(links), ((queue, SERVICE_KIND_QUEUE),))


def _request(source: str, target: str, labels: Mapping[str, str], virtual: str) -> Call:
    """Return a call from a client to a server; ``virtual`` is the one without spans, if any."""
    kinds: list[tuple[str, ServiceKind.ValueType]] = []
    system = _dimension(labels, "db_system_name") or _dimension(labels, "db_system")
    is_database = labels.get("connection_type") == "database" or (system and virtual != source)
    if is_database:
        kinds.append((target, SERVICE_KIND_DATABASE))
    elif virtual:
        kinds.append((virtual, SERVICE_KIND_EXTERNAL))
    link = Link(source, target, protocol=protocol_of(system) if is_database else "")
    return Call((link,), tuple(kinds))


def _dimension(labels: Mapping[str, str], name: str) -> str:
    """Return an attribute of either span, the client's first; empty = neither has it."""
    return labels.get("client_" + name) or labels.get("server_" + name) or labels.get(name) or ""


def _first(labels: Mapping[str, str], side: str, names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := labels.get(side + name) or labels.get(name))), "")


def _attributes(side: str, name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """List what a name's template may use: the side's dimensions, and labels of neither side."""
    of_neither = {label: value for label, value in labels.items() if not label.startswith(_SIDES)}
    own = {label.removeprefix(side): value for label, value in labels.items() if label.startswith(side)}
    # A label ``namespace`` of neither side is that of whatever Prometheus scraped.
    own["namespace"] = next((own[label] for label in _NAMESPACES if own.get(label)), "")
    return of_neither | own | {"service": name}
