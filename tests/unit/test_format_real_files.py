"""Files that other systems wrote, beside this checkout: the edges that a person would draw."""

from pathlib import Path

import pytest

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_QUEUE,
)
from server.formats.reading import SELF_CALL, Reading
from server.formats.recognition import format_of, read
from tests.support.readings import kinds_of, links_of, skipped_of

REAL = Path(__file__).parents[2] / "../shared/data"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real inputs are not beside this checkout")


def drawn(name: str, form: str) -> Reading:
    raw = (REAL / name).read_bytes()
    assert format_of(raw) == form
    return read(format_of(raw), raw)


def pairs(*lines: str) -> set[tuple[str, str]]:
    """List the pairs in lines such as ``caller: callee callee``."""
    return {
        (source, target)
        for source, _, targets in (line.partition(":") for line in lines)
        for target in targets.split()
    }


def test_jaeger() -> None:
    reading = drawn("jaeger_dependencies_small.json", "jaeger")
    assert links_of(reading) == pairs(
        "Service1: Service2 Service3 Service5",
        "Service8: Service6",
        "Service6: Service1",
        "Service2: Service4",
        "Service3: Service7",
    )
    assert (reading.element_count, reading.skipped) == (7, ())


def test_kiali() -> None:
    reading = drawn("kiali_service_graph.json", "kiali")
    assert reading.report.discovery_source == DISCOVERY_SOURCE_SERVICE_MESH
    assert links_of(reading) == pairs(
        "ingressgateway: productpage tcp",
        "productpage: details reviews tcp",
        "reviews: deposit pricing ratings",
    )
    protocols = {
        (edge.source_service_id, edge.target_service_id): edge.protocol for edge in reading.report.edges
    }
    assert protocols["reviews", "deposit"] == "grpc"
    assert protocols["productpage", "tcp"] == "tcp"
    assert protocols["productpage", "details"] == "http"
    assert reading.element_count == 13
    assert skipped_of(reading) == {
        SELF_CALL: 2,
        "the caller is 'unknown'": 2,
        "the callee is 'unknown'": 1,
    }


def test_manifests_of_kubernetes() -> None:
    reading = drawn("online_boutique_kubernetes.yaml", "kubernetes")
    assert reading.report.discovery_source == DISCOVERY_SOURCE_KUBERNETES
    assert links_of(reading) == pairs(
        "loadgenerator: frontend",
        "frontend: productcatalogservice currencyservice cartservice recommendationservice",
        "frontend: shippingservice checkoutservice adservice",
        "cartservice: redis-cart",
        "recommendationservice: productcatalogservice",
        "checkoutservice: productcatalogservice shippingservice paymentservice emailservice",
        "checkoutservice: currencyservice cartservice",
    )
    assert skipped_of(reading) == {
        "a 'ServiceAccount', a kind that is not read": 11,
        "a host without a Service": 1,
    }


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        ("otel_servicegraph_metrics.yaml", {}),
        (
            "otel_servicegraph_queue_db.yaml",
            {"a point of another metric than traces_service_graph_request_total": 1},
        ),
    ],
)
def test_a_message_of_the_service_graph(name: str, skipped: dict[str, int]) -> None:
    reading = drawn(name, "otlp")
    assert reading.report.discovery_source == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert links_of(reading) == pairs("foo-server: kafka", "bar-requester: kafka")
    assert {(edge.communication_mode, edge.protocol) for edge in reading.report.edges} == {
        (COMMUNICATION_MODE_ASYNC, "kafka")
    }
    assert kinds_of(reading) == {"kafka": SERVICE_KIND_QUEUE}
    assert skipped_of(reading) == skipped


def test_virtual_nodes_of_the_service_graph() -> None:
    reading = drawn("otel_servicegraph_virtual_nodes.yaml", "otlp")
    assert links_of(reading) == pairs("external-platform: bar-requester")
    assert kinds_of(reading) == {"external-platform": SERVICE_KIND_EXTERNAL}
    assert skipped_of(reading) == {"the server is 'unknown'": 1}


def test_a_component_of_backstage_and_its_resource() -> None:
    reading = drawn("backstage_artist_lookup.yaml", "backstage")
    assert reading.report.discovery_source == DISCOVERY_SOURCE_CATALOG
    assert links_of(reading) == pairs("artist-lookup: artists-db")
    node = reading.report.nodes[0]
    assert (node.service_id, node.team) == ("artist-lookup", "team-a")
    assert dict(node.metadata) == {
        "system": "artist-engagement-portal",
        "lifecycle": "experimental",
        "type": "service",
    }
    assert reading.skipped == ()


def test_an_api_of_backstage_joins_who_consumes_it_with_who_provides_it() -> None:
    reading = drawn("backstage_wayback.yaml", "backstage")
    assert links_of(reading) == pairs("wayback-search: wayback-archive")
    assert {node.service_id for node in reading.report.nodes} == {
        "wayback-search",
        "wayback-archive",
        "www-artist",
    }
    assert skipped_of(reading) == {"consumesApis names the kind 'component', which is no API": 1}
