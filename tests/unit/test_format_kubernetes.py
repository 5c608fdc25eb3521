"""No I/O: which Service a host in a manifest means."""

import json
from typing import Any

import pytest

from depgraph.v1.types_pb2 import SERVICE_KIND_EXTERNAL
from server.formats.kubernetes import read_kubernetes
from server.formats.reading import Reading


def service(name: str, namespace: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def read(host: str, *services: dict[str, Any], namespace: str = "") -> Reading:
    """Read a workload that is given the host, beside Services."""
    pod = service("web", namespace, containers=[{"env": [{"name": "HOST", "value": host}]}]) | {"kind": "Pod"}
    return read_kubernetes("\n".join(map(json.dumps, (pod, *services))).encode())


def callees(reading: Reading) -> list[str]:
    return [edge.target_service_id for edge in reading.report.edges]


@pytest.mark.parametrize(
    "host", ["redis:6379", "redis.shop.svc:6379", "redis.shop.svc.cluster.local:1", "redis-0.redis:6379"]
)
def test_a_service_without_a_namespace_may_be_in_any(host: str) -> None:
    assert callees(read(host, service("redis"))) == ["redis"]


@pytest.mark.parametrize(
    "host", ["redis.io:443", "https://redis.io/docs", "api.redis.io:6379", "redis.svc-cloud.com:6379"]
)
def test_a_host_of_the_internet_is_no_service_that_has_its_name(host: str) -> None:
    assert callees(read(host, service("redis"))) == []
    assert callees(read(host, service("redis", "shop"), namespace="shop")) == []


def test_a_name_for_a_host_inside_is_the_service_of_that_host() -> None:
    inside = service("db", type="ExternalName", externalName="postgres.data.svc.cluster.local")
    reading = read("db:5432", inside, service("postgres", "data"))
    assert callees(reading) == ["postgres"]
    assert not any(node.kind for node in reading.report.nodes)


@pytest.mark.parametrize("external", ["pay.example.com", "postgres.data.svc.cluster.local", "", None])
def test_a_name_for_another_host_is_external(external: str | None) -> None:
    reading = read("pay:443", service("pay", type="ExternalName", externalName=external))
    assert callees(reading) == ["pay"]
    assert {node.service_id: node.kind for node in reading.report.nodes}["pay"] == SERVICE_KIND_EXTERNAL
