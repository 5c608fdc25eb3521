"""One small shop as each system describes it: the edges that a person would draw, and no others."""

import json
from pathlib import Path

import pytest

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_GATEWAY,
    SERVICE_KIND_QUEUE,
)
from server.formats.backstage import PAGE_OF_MORE
from server.formats.naming import NameRules
from server.formats.reading import SELF_CALL, Reading
from server.formats.recognition import format_of, read
from tests.support.readings import kinds_of, links_of, skipped_of

SHOP = Path(__file__).parents[1] / "data/shop"


def drawn(name: str, form: str, names: NameRules | None = None) -> Reading:
    raw = (SHOP / name).read_bytes()
    assert format_of(raw) == form
    return read(format_of(raw), raw, names or NameRules())


@pytest.mark.parametrize(
    ("name", "elements", "skipped"),
    [
        ("jaeger.json", 4, {SELF_CALL: 1, "parent is empty; give 1 to 255 characters": 1}),
        ("zipkin.json", 2, {}),
    ],
)
def test_dependencies_of_jaeger_and_zipkin(name: str, elements: int, skipped: dict[str, int]) -> None:
    reading = drawn(name, "jaeger")
    assert links_of(reading) == {("web", "cart"), ("cart", "pricing")}
    assert (reading.element_count, skipped_of(reading)) == (elements, skipped)


def test_a_graph_of_kiali_without_boxes_and_service_nodes() -> None:
    reading = drawn("kiali.json", "kiali")
    protocols = {
        (edge.source_service_id, edge.target_service_id): edge.protocol for edge in reading.report.edges
    }
    assert protocols == {
        ("edge", "web"): "http",
        ("web", "cart"): "grpc",
        ("cart", "orders-db"): "tcp",
        ("cart", "pay.example.com"): "http",
    }
    assert kinds_of(reading) == {"edge": SERVICE_KIND_GATEWAY, "pay.example.com": SERVICE_KIND_EXTERNAL}
    assert reading.element_count == 13
    assert skipped_of(reading) == {
        "an edge without traffic": 2,
        "the caller is 'unknown'": 1,
        "the callee is a cluster of the proxy (PassthroughCluster, BlackHoleCluster)": 1,
        "the callee is a waypoint, which reports the calls that it passes on": 1,
        SELF_CALL: 1,
    }


def test_names_of_kiali_may_hold_the_namespace_and_the_workload() -> None:
    reading = drawn("kiali.json", "kiali", NameRules("{namespace}/{workload}"))
    # Of a service without workloads only the namespace is known.
    assert links_of(reading) == {
        ("ingress/edge-7", "shop/web-v1"),
        ("shop/web-v1", "shop/cart-v1"),
        ("shop/web-v1", "shop/cart-v2"),
        ("shop/cart-v1", "shop"),
    }


def test_entities_of_backstage_as_authors_write_them() -> None:
    reading = drawn("backstage.yaml", "backstage")
    assert links_of(reading) == {
        ("web", "Cart"),
        ("web", "pricing"),
        ("web", "images"),
        ("Cart", "orders-db"),
        ("Cart", "stock"),
        ("pricing", "stock"),
    }
    assert {node.service_id: (node.team, dict(node.metadata)) for node in reading.report.nodes} == {
        "web": ("storefront", {"lifecycle": "production", "system": "shop", "type": "website"}),
        "Cart": ("checkout", {"lifecycle": "production", "system": "shop", "type": "service"}),
        "pricing": ("ann", {"lifecycle": "experimental", "type": "service"}),
        "stock": ("stock-team", {"type": "service"}),
        "orders-db": ("checkout", {"type": "database"}),
        "images": ("", {}),
    }
    assert kinds_of(reading) == {"orders-db": SERVICE_KIND_DATABASE}
    assert reading.element_count == 17
    assert skipped_of(reading) == {
        "a 'group', which is no service": 1,
        "consumesApis names an API that no component here provides": 1,
        "dependsOn holds what is no reference kind:namespace/name": 1,
        "dependsOn names the kind 'api', which is no service": 1,
        SELF_CALL: 1,
    }
    assert not reading.remark


def test_an_entity_of_another_file_is_named_as_its_dependant_writes_it() -> None:
    entity = {"kind": "Component", "metadata": {"name": "web"}, "spec": {"dependsOn": ["resource:OrdersDB"]}}
    assert links_of(read("backstage", json.dumps(entity).encode())) == {("web", "OrdersDB")}


def test_relations_that_backstage_has_computed_count_rather_than_what_authors_wrote() -> None:
    reading = drawn("backstage_page.json", "backstage")
    assert links_of(reading) == {("Web", "cart"), ("Web", "images"), ("mailer", "cart")}
    assert reading.report.nodes[0].team == "storefront"
    assert dict(reading.report.nodes[0].metadata) == {"system": "shop", "type": "website"}
    assert reading.skipped == ()
    assert reading.remark == PAGE_OF_MORE


def test_manifests_of_kubernetes_give_the_services_that_workloads_call_by_their_settings() -> None:
    reading = drawn("kubernetes.yaml", "kubernetes")
    assert links_of(reading) == {
        ("web", "cart"),
        ("web", "pricing"),
        ("web", "kafka"),
        ("cart", "pay"),
        ("mailer", "pay"),
        ("mailer", "cart"),
    }
    assert kinds_of(reading) == {"pay": SERVICE_KIND_EXTERNAL}
    assert {node.service_id for node in reading.report.nodes} == {
        "web", "cart", "mailer", "pricing", "kafka", "pay"
    }  # fmt: skip
    assert reading.element_count == 35
    assert skipped_of(reading) == {
        "a 'Secret', a kind that is not read": 1,
        "a Pod that another workload has made": 1,
        "no object of Kubernetes: kind, apiVersion or metadata.name is missing": 1,
        "a host without a Service": 2,
        "an address without a name": 1,
        SELF_CALL: 1,
        "a route that sets neither a timeout nor retries": 1,
        "a route to a 'Bucket', which is no Service": 1,
        "a route whose timeout is no duration": 1,
    }


def test_routes_of_kubernetes_give_timeouts_and_retries_of_callees_and_no_dependencies() -> None:
    policies = {
        (policy.source_service_id, policy.target_service_id): (
            policy.timeout_ms if policy.HasField("timeout_ms") else None,
            policy.retry_config.max_retries if policy.HasField("retry_config") else None,
        )
        for policy in drawn("kubernetes.yaml", "kubernetes").report.policies
    }
    assert policies == {
        # The longest timeout of the routes, and the most retries.
        ("", "pricing"): (2_000, 2),
        # 300 ms for each of two tries.
        ("web", "pricing"): (600, 1),
        ("", "cart"): (750, 3),
        ("", "legacy"): (90_000, None),
    }


def test_names_of_kubernetes_may_hold_namespace_and_workload() -> None:
    reading = drawn("kubernetes.yaml", "kubernetes", NameRules("{namespace}/{workload}"))
    assert links_of(reading) == {
        ("shop/web", "shop/cart-v2"),
        ("shop/web", "pricing/pricing"),
        ("shop/web", "shop/kafka"),
        ("shop/cart-v2", "shop/pay"),
        ("shop/mailer", "shop/pay"),
        ("shop/mailer", "shop/cart-v2"),
    }
    callees = {policy.target_service_id for policy in reading.report.policies}
    assert callees == {"pricing/pricing", "shop/cart-v2", "old/legacy"}


def test_exports_of_the_collector_one_a_line() -> None:
    reading = drawn("otlp.jsonl", "otlp")
    edges = {(edge.source_service_id, edge.target_service_id): edge for edge in reading.report.edges}
    assert {pair: edge.protocol for pair, edge in edges.items()} == {
        ("web", "cart"): "",
        ("cart", "orders-db"): "postgresql",
        ("cart", "mails"): "kafka",
        ("mailer", "mails"): "kafka",
    }
    assert edges["mailer", "mails"].communication_mode == COMMUNICATION_MODE_ASYNC
    assert kinds_of(reading) == {"orders-db": SERVICE_KIND_DATABASE, "mails": SERVICE_KIND_QUEUE}
    assert reading.element_count == 8
    assert skipped_of(reading) == {
        "a point of another metric than traces_service_graph_request_total": 1,
        "a counter that did not rise": 1,
        "the client is 'user', a caller without traces": 1,
        "a point whose value is no number": 1,
    }


def test_answers_of_prometheus() -> None:
    reading = drawn("prometheus_servicegraph.json", "prometheus")
    assert links_of(reading) == {("web", "cart"), ("cart", "orders-db")}
    assert skipped_of(reading) == {"a counter that did not rise": 1}
    reading = drawn("prometheus_istio.json", "prometheus")
    assert links_of(reading) == {("web", "cart"), ("cart", "pay.example.com")}
    assert skipped_of(reading) == {
        "the destination is a cluster of the proxy (PassthroughCluster, BlackHoleCluster)": 1
    }
