"""
Kubernetes manifests: what workloads call by their settings, and how gateways and meshes call it.

A workload calls a Service if an environment variable, or a ConfigMap that it reads, holds the
Service's host and port. VirtualService, HTTPRoute and GRPCRoute give timeouts and retries of a
callee. Secrets are not read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_KUBERNETES,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_UNSPECIFIED,
)
from server.domain.services import name_problem
from server.formats.documents import FormatError, kind_of
from server.formats.kubernetes_hosts import hosts_in, is_inside, meanings_of, outside_name
from server.formats.naming import NameRules
from server.formats.prometheus import is_address
from server.formats.reading import Call, Draft, Link, Reading, link_problem
from server.formats.routes import ROUTES, policies_of
from server.formats.servicegraph import DEFAULT_NAMES
from server.formats.yaml_documents import as_text, documents

# Where each kind of workload keeps the template of its pods.
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
} | dict.fromkeys(
    ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Rollout"),
    ("spec", "template"),
)
NO_SERVICE = "a host without a Service"


@dataclass(slots=True)
class _Object:
    """A manifest: where it stands and what it is named."""

    kind: str
    name: str
    namespace: str
    fields: dict[str, Any]


@dataclass(slots=True)
class _Cluster:
    """The objects of all documents, by what others refer to them by."""

    names: NameRules
    services: dict[tuple[str, str], _Object] = field(default_factory=dict)
    config_maps: dict[tuple[str, str], _Object] = field(default_factory=dict)
    workloads: list[_Object] = field(default_factory=list)
    routes: list[_Object] = field(default_factory=list)
    named: dict[int, str] = field(default_factory=dict)
    """The name of each workload and Service, by the identity of its object."""

    def find(self, host: str, namespace: str) -> _Object | None:
        """Find the Service that a host of a workload in a namespace means, or stands in for."""
        for name, space in meanings_of(host, namespace):
            service = self.services.get((space, name))
            # A Service without a namespace may be in any, but ``redis.io`` is no Service ``redis``.
            if service is None and (space == namespace or is_inside(host)):
                service = self.services.get(("", name))
            if service is not None:
                return self._stood_in_for(service) or service
        return None

    def _stood_in_for(self, service: _Object) -> _Object | None:
        """Return the Service to whose host an ExternalName only gives another name, if any."""
        host = as_text(_dict(service.fields, "spec").get("externalName"))
        for name, space in meanings_of(host, "") if is_inside(host) else ():
            if other := self.services.get((space, name)):
                return other
        return None


def read_kubernetes(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read manifests, plain or gzip: documents, or Lists of them. O(size).

    Elements are objects and the hosts that they hold. Names may use ``{service}`` (the workload's
    Service, else the workload), ``{namespace}``, ``{workload}`` and ``{app}``. ``FormatError`` when
    no document is an object of Kubernetes.
    """
    return kubernetes_reading(documents(raw), names)


def kubernetes_reading(read: Iterable[Any], names: NameRules = DEFAULT_NAMES) -> Reading:
    """Return what documents of one cluster come to, of whatever files; see ``read_kubernetes``."""
    cluster, draft = _Cluster(names), Draft(DISCOVERY_SOURCE_KUBERNETES)
    first: Any = None
    object_count = 0
    for document in read:
        first = document if first is None else first
        for fields in _objects(document):
            found = _object(fields)
            if found is None:
                draft.skip("no object of Kubernetes: kind, apiVersion or metadata.name is missing")
            else:
                object_count += 1
                draft.take(_keep(cluster, found))
    if not object_count:
        raise FormatError(
            "no manifest of Kubernetes: expected kind, apiVersion and metadata.name, "
            f"found {kind_of(first) if first is not None else 'no document'}"
        )
    _name_all(cluster, draft)
    for workload in cluster.workloads:
        _read_workload(cluster, workload, draft)
    reading_policies(cluster, draft)
    return draft.reading()


def reading_policies(cluster: _Cluster, draft: Draft) -> None:
    """Add the policies of routes; a callee without a Service here goes by its host."""

    def callee(host: str, namespace: str) -> str:
        service = cluster.find(host, namespace)
        if service is not None:
            return cluster.named[id(service)]
        name, space = outside_name(host, namespace)
        return cluster.names.name_of({"service": name, "namespace": space, "workload": name})

    for route in cluster.routes:
        for outcome in policies_of(route.kind, route.fields, route.namespace, callee):
            draft.policy(outcome)


def _keep(cluster: _Cluster, found: _Object) -> Call | str:
    key = (found.namespace, found.name)
    owners = list(_dicts(_dict(found.fields, "metadata").get("ownerReferences")))
    # A list, since what a file gives as a kind may have no hash.
    if found.kind in _TEMPLATES and any(owner.get("kind") in [*_TEMPLATES] for owner in owners):
        return f"a {found.kind} that another workload has made"
    if found.kind in _TEMPLATES:
        cluster.workloads.append(found)
    elif found.kind == "Service" and found.fields["apiVersion"] == "v1":
        cluster.services[key] = found
    elif found.kind == "ConfigMap":
        cluster.config_maps[key] = found
    elif found.kind in ROUTES:
        cluster.routes.append(found)
    else:
        return f"a {found.kind[:100]!a}, a kind that is not read"
    return Call(())


def _name_all(cluster: _Cluster, draft: Draft) -> None:
    """Name workloads after their Service, and Services after the workload behind them."""
    selectors = [
        (key[0], _dict(_dict(each.fields, "spec"), "selector"), each)
        for key, each in cluster.services.items()
    ]
    by_label: dict[tuple[str, str, str], list[tuple[dict[str, Any], _Object]]] = {}
    for namespace, selector, service in selectors:
        if selector:
            label, value = next(iter(selector.items()))
            by_label.setdefault((namespace, as_text(label), as_text(value)), []).append((selector, service))
    for workload in cluster.workloads:
        labels = _dict(_dict(_template(workload), "metadata"), "labels")
        behind = [
            service
            for label, value in labels.items()
            for selector, service in by_label.get((workload.namespace, as_text(label), as_text(value)), ())
            if all(labels.get(key) == wanted for key, wanted in selector.items())
        ]
        own = next((each for each in behind if each.name == workload.name), behind[0] if behind else workload)
        name = cluster.names.name_of(
            {
                "service": own.name,
                "workload": workload.name,
                "namespace": workload.namespace,
                "app": as_text(labels.get("app.kubernetes.io/name") or labels.get("app")),
            }
        )
        cluster.named[id(workload)] = name
        for service in behind:
            cluster.named.setdefault(id(service), name)
        if not name_problem(name):
            draft.node(name)
    for service in cluster.services.values():
        attributes = {"service": service.name, "workload": service.name, "namespace": service.namespace}
        cluster.named.setdefault(id(service), cluster.names.name_of(attributes))


def _read_workload(cluster: _Cluster, workload: _Object, draft: Draft) -> None:
    """Add a dependency for each Service whose host the workload is given."""
    source = cluster.named[id(workload)]
    missing: Counter[str] = Counter()
    for text in _texts(cluster, workload):
        for host, has_port in hosts_in(text):
            service = cluster.find(host, workload.namespace)
            if service is None:
                if has_port:
                    missing[host] += 1
                continue
            target = cluster.named[id(service)]
            is_external = as_text(_dict(service.fields, "spec").get("type")) == "ExternalName"
            kind = SERVICE_KIND_EXTERNAL if is_external else SERVICE_KIND_UNSPECIFIED
            call = Call((Link(source, target),), ((target, kind),))
            draft.take(link_problem(source, target) or call)
    for host, count in missing.items():
        reason = "an address without a name" if is_address(host) else NO_SERVICE
        for _ in range(count):
            draft.skip(reason)


def _texts(cluster: _Cluster, workload: _Object) -> Iterator[str]:
    """Yield what the containers of a workload are given: variables, and files of ConfigMaps."""
    template = _template(workload)
    spec = _dict(template, "spec")
    for section in ("initContainers", "containers"):
        for container in _dicts(spec.get(section)):
            for entry in _dicts(container.get("env")):
                yield as_text(entry.get("value"))
                reference = _dict(_dict(entry, "valueFrom"), "configMapKeyRef")
                yield from _config(cluster, workload, reference, as_text(reference.get("key")))
            for entry in _dicts(container.get("envFrom")):
                yield from _config(cluster, workload, _dict(entry, "configMapRef"))
    for volume in _dicts(spec.get("volumes")):
        yield from _config(cluster, workload, _dict(volume, "configMap"))
        for each in _dicts(_dict(volume, "projected").get("sources")):
            yield from _config(cluster, workload, _dict(each, "configMap"))


def _config(cluster: _Cluster, workload: _Object, reference: dict[str, Any], key: str = "") -> Iterator[str]:
    config_map = cluster.config_maps.get((workload.namespace, as_text(reference.get("name"))))
    if config_map is not None:
        contents = _dict(config_map.fields, "data")
        for name, text in contents.items():
            if not key or name == key:
                yield as_text(text)


def _objects(document: Any) -> Iterator[Any]:
    """Yield the objects of a document: itself, or the items of a List, or of a list of objects."""
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict) and isinstance(document.get("items"), list):
        yield from document["items"]
    else:
        yield document


def _object(fields: Any) -> _Object | None:
    if not isinstance(fields, dict) or not isinstance(fields.get("apiVersion"), str):
        return None
    metadata = _dict(fields, "metadata")
    kind, name = fields.get("kind"), as_text(metadata.get("name") or metadata.get("generateName"))
    return (
        _Object(kind, name, as_text(metadata.get("namespace")), fields)
        if isinstance(kind, str) and name
        else None
    )


def _template(workload: _Object) -> dict[str, Any]:
    fields = workload.fields
    for name in _TEMPLATES[workload.kind]:
        fields = _dict(fields, name)
    return fields


def _dict(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()
