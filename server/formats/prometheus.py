"""
Answers of Prometheus to an instant query: the series of a service graph, or of Istio.

A file with an answer and the pull of a source are read alike. What is asked for is the *increase*
of counters, so a series counts as observed if its value is above 0.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple

from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_GATEWAY,
    ServiceKind,
)
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.naming import NameRules
from server.formats.reading import Call, Draft, Link, Reading, link_problem, protocol_of
from server.formats.servicegraph import DEFAULT_NAMES, call_of

NOT_RISEN = "a counter that did not rise"
_UNKNOWN = ("", "unknown")
# Clusters of Envoy for calls to hosts that the mesh does not know, or does not allow.
_NO_SERVICES = ("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster")
_GATEWAYS = ("istio-ingressgateway", "istio-egressgateway")
_WAYPOINT = "waypoint"
_IN_CLUSTER = ".svc."
_ISTIO_LABELS = {
    f"{end}_{label}"
    for end in ("source", "destination")
    for label in ("workload", "canonical_service", "app", "service", "service_name")
}


class Sample(NamedTuple):
    """One series of an answer, with its value at the time of the query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The samples of an answer; with ``warnings``, or what it calls infos, it may be partial."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


def read_prometheus(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read a file with an answer, plain or gzip; its labels show which series it holds. O(size).

    ``FormatError`` when it is no answer, or one that reports an error.
    """
    samples = answer_of(raw).samples
    is_istio = any(not _ISTIO_LABELS.isdisjoint(labels) for labels, _ in samples)
    return (istio_calls if is_istio else servicegraph_calls)(samples, names)


def answer_of(raw: bytes) -> Answer:
    """Read an answer of ``/api/v1/query``; ``FormatError`` if it is none. O(size)."""
    document = json_document(raw)
    if not isinstance(document, dict) or "status" not in document:
        raise FormatError(f"not an answer of Prometheus: expected status and data, found {kind_of(document)}")
    if document["status"] != "success":
        raise FormatError(f"Prometheus reports an error: {document.get('error', 'without a reason')!a}")
    answered = document.get("data")
    kind = answered.get("resultType") if isinstance(answered, dict) else None
    if not isinstance(answered, dict) or kind != "vector" or not isinstance(answered.get("result"), list):
        raise FormatError(
            "not an instant vector of Prometheus: expected data.resultType 'vector' and a list data.result, "
            f"found {ascii(kind) if isinstance(kind, str) else kind_of(answered)}"
        )
    samples = tuple(_sample(place, entry) for place, entry in enumerate(answered["result"]))
    return Answer(samples, tuple(_warnings(document)))


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    for key in ("warnings", "infos"):
        remarks = document.get(key) or []
        yield from map(str, remarks if isinstance(remarks, list) else [remarks])
    if document.get("isPartial"):  # of VictoriaMetrics
        yield "the server says that it is partial"


def servicegraph_calls(samples: Iterable[Sample], names: NameRules = DEFAULT_NAMES) -> Reading:
    """Return what series of a service graph come to, by ``servicegraph.call_of``. O(samples)."""
    return _calls(samples, names, call_of, Draft(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH))


def istio_calls(samples: Iterable[Sample], names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Return what series of Istio come to. O(samples).

    The proxies of the caller and of the callee, and a waypoint, report the same call: it is one.
    Names may use ``{service}`` (the canonical service), ``{namespace}``, ``{workload}``,
    ``{cluster}``, ``{app}`` and ``{version}``.
    """
    return _calls(samples, names, istio_call_of, Draft(DISCOVERY_SOURCE_SERVICE_MESH))


def istio_call_of(labels: Mapping[str, str], names: NameRules = DEFAULT_NAMES) -> Call | str:
    """Return the call of a series of ``istio_requests_total`` or ``istio_tcp_*``, or a reason."""
    ends = _attributes("source", labels), _attributes("destination", labels)
    for role, attributes in zip(("source", "destination"), ends, strict=True):
        if problem := _service_problem(role, attributes["service"]):
            return problem
    source, target = map(names.name_of, ends)
    if problem := link_problem(source, target):
        return problem
    kinds: list[tuple[str, ServiceKind.ValueType]] = [
        (name, SERVICE_KIND_GATEWAY)
        for name, attributes in zip((source, target), ends, strict=True)
        if attributes["service"] in _GATEWAYS
    ]
    if _is_external(labels, ends[1]["service"]):
        kinds.append((target, SERVICE_KIND_EXTERNAL))
    protocol = labels.get("request_protocol", "")
    if protocol in _UNKNOWN:
        protocol = "tcp" if labels.get("__name__", "").startswith("istio_tcp_") else ""
    return Call((Link(source, target, protocol=protocol_of(protocol)),), tuple(kinds))


def _calls(
    samples: Iterable[Sample],
    names: NameRules,
    call: Callable[[Mapping[str, str], NameRules], Call | str],
    draft: Draft,
) -> Reading:
    for labels, value in samples:
        draft.take(call(labels, names) if value > 0 else NOT_RISEN)
    return draft.reading()


def _sample(place: int, entry: Any) -> Sample:
    where = f"data.result[{place}]"
    labels: Any = entry.get("metric") if isinstance(entry, dict) else entry
    value: Any = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise FormatError(f"{where}: expected an object metric with labels, found {kind_of(labels)}")
    try:
        _, text = value
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{where}: expected value to be [time, number as text]") from None
    return Sample(labels, 0.0 if math.isnan(number) else number)


def _attributes(role: str, labels: Mapping[str, str]) -> dict[str, str]:
    """List what a name's template may use of the ``source`` or ``destination`` of a call."""

    def first(*suffixes: str) -> str:
        values = (labels.get(f"{role}_{suffix}", "") for suffix in suffixes)
        return next((value for value in values if value not in _UNKNOWN), "")

    return {
        "service": first("canonical_service", "workload", "app", "service_name", "service"),
        "namespace": first("workload_namespace", "service_namespace"),
        "workload": first("workload", "canonical_service"),
        "app": first("app"),
        "version": first("canonical_revision", "version"),
        "cluster": first("cluster"),
    }


def _service_problem(role: str, service: str) -> str | None:
    if not service:
        return f"the {role} is 'unknown'"
    if service == _WAYPOINT or service.endswith(f"-{_WAYPOINT}"):
        return f"the {role} is a waypoint, which reports the calls that it passes on"
    problem = is_no_service(service)
    return f"the {role} is {problem}" if problem else None


def is_no_service(name: str) -> str | None:
    """Say what a name of a mesh is if it is no service; None = it may be one."""
    if name.startswith(_NO_SERVICES):
        return "a cluster of the proxy (PassthroughCluster, BlackHoleCluster)"
    return "an address without a name" if is_address(name) else None


def is_address(host: str) -> bool:
    """Tell whether a host, with a port or without, is an IP address."""
    bare = host[1:].partition("]")[0] if host.startswith("[") else host
    for text in (bare, bare.rpartition(":")[0]):
        try:
            ip_address(text)
        except ValueError:
            continue
        return True
    return False


def _is_external(labels: Mapping[str, str], service: str) -> bool:
    """Tell whether the callee has no workload in the mesh, and a host outside of the cluster."""
    has_workload = any(
        labels.get(f"destination_{label}", "") not in _UNKNOWN for label in ("workload", "canonical_service")
    )
    host = labels.get("destination_service", "") or service
    return not has_workload and "." in host and _IN_CLUSTER not in host
