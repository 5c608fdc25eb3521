"""No I/O: labels of one series of a service graph, and the call that they stand for."""

import re
from typing import Any

import pytest

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_UNKNOWN,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_QUEUE,
)
from server.formats.naming import NameRules
from server.formats.reading import SELF_CALL, Call, Link
from server.formats.servicegraph import call_of

DATABASE, EXTERNAL, QUEUE = SERVICE_KIND_DATABASE, SERVICE_KIND_EXTERNAL, SERVICE_KIND_QUEUE


def labels(client: str = "shop", server: str = "cart", kind: str = "", **others: str) -> dict[str, str]:
    return {"client": client, "server": server, "connection_type": kind, "failed": "false", **others}


def dotted(**dimensions: str) -> dict[str, str]:
    """Write ``server_db__system`` as ``server_db.system``."""
    return {name.replace("__", "."): value for name, value in dimensions.items()}


def call(*links: tuple[str, str], **kinds: Any) -> Call:
    return Call(tuple(Link(*link) for link in links), tuple(kinds.items()))


def through(queue: str, producer: str, consumer: str, protocol: str = "") -> Call:
    ends = (Link(end, queue, COMMUNICATION_MODE_ASYNC, protocol) for end in (producer, consumer))
    return Call(tuple(ends), ((queue, QUEUE),))


def test_a_call_between_two_services_has_no_known_mode() -> None:
    assert call_of(labels()) == call(("shop", "cart"))
    assert call_of({"client": "shop", "server": "cart"}) == call(("shop", "cart"))
    assert Link("shop", "cart").mode == COMMUNICATION_MODE_UNKNOWN


def test_a_database_has_its_kind() -> None:
    assert call_of(labels(server="orders", kind="database")) == call(("shop", "orders"), orders=DATABASE)


@pytest.mark.parametrize("side", ["client_", "server_", ""])
@pytest.mark.parametrize("name", ["db.system", "db_system", "db.system.name", "db_system_name"])
@pytest.mark.parametrize("kind", ["", "database", "virtual_node"])
def test_the_system_of_a_database_is_the_protocol(side: str, name: str, kind: str) -> None:
    found = call_of(labels(server="orders", kind=kind) | {side + name: "postgresql"})
    assert found == Call((Link("shop", "orders", protocol="postgresql"),), (("orders", DATABASE),))


@pytest.mark.parametrize("name", ["client_messaging.system", "server_messaging_system"])
@pytest.mark.parametrize("kind", ["", "messaging_system"])
def test_a_call_through_a_queue_is_two_dependencies_on_it(name: str, kind: str) -> None:
    assert call_of(labels(kind=kind) | {name: "kafka"}) == through("kafka", "shop", "cart", "kafka")


@pytest.mark.parametrize("name", ["messaging.destination.name", "messaging_destination_name"])
def test_the_destination_names_the_queue_rather_than_the_system(name: str) -> None:
    found = call_of(
        labels(kind="messaging_system", client_messaging_system="kafka") | {f"server_{name}": "q"}
    )
    assert found == through("q", "shop", "cart", "kafka")


def test_a_queue_without_a_name_is_one_dependency_that_is_async() -> None:
    found = call_of(labels(kind="messaging_system"))
    assert found == Call((Link("shop", "cart", COMMUNICATION_MODE_ASYNC),))


def test_a_virtual_server_of_a_producer_is_the_queue() -> None:
    found = call_of(labels(server="orders", kind="virtual_node") | {"client_messaging.system": "sqs"})
    assert found == Call((Link("shop", "orders", COMMUNICATION_MODE_ASYNC, "sqs"),), (("orders", QUEUE),))


def test_an_end_that_is_the_queue_itself_does_not_depend_on_itself() -> None:
    found = call_of(labels(server="kafka", kind="messaging_system", client_messaging_system="kafka"))
    assert found == Call((Link("shop", "kafka", COMMUNICATION_MODE_ASYNC, "kafka"),), (("kafka", QUEUE),))


def test_a_message_whose_consumer_also_uses_a_database_goes_through_the_queue() -> None:
    found = call_of(labels() | dotted(client_messaging__system="kafka", server_db__system="postgresql"))
    assert found == through("kafka", "shop", "cart", "kafka")


def test_a_virtual_server_with_a_name_is_external() -> None:
    assert call_of(labels(server="pay.example", kind="virtual_node")) == Call(
        (Link("shop", "pay.example"),), (("pay.example", EXTERNAL),)
    )


def test_a_virtual_client_with_a_name_is_external() -> None:
    found = call_of(labels(client="edge", kind="virtual_node", virtual_node="client"))
    assert found == call(("edge", "cart"), edge=EXTERNAL)


@pytest.mark.parametrize(
    "peer", ["server_peer.service", "server_peer_service", "peer.service", "service.peer.name"]
)
def test_a_user_whose_name_the_server_knows_is_that_caller(peer: str) -> None:
    found = call_of(labels(client="user", kind="virtual_node") | {peer: "platform"})
    assert found == call(("platform", "cart"), platform=EXTERNAL)


@pytest.mark.parametrize("peer", ["client_peer.service", "client_service_peer_name", "service.peer.name"])
def test_an_unknown_server_whose_name_the_client_knows_is_that_service(peer: str) -> None:
    found = call_of(labels(server="unknown", kind="virtual_node") | {peer: "platform"})
    assert found == call(("shop", "platform"), platform=EXTERNAL)


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (labels(client="user", kind="virtual_node"), "the client is 'user', a caller without traces"),
        (labels(server="unknown_service:java"), "the server is 'unknown'"),
        (labels(server="unknown", kind="virtual_node"), "the server is 'unknown'"),
        (labels(client="unknown"), "the client is 'unknown'"),
        (labels(client=""), "the caller has no name"),
        (labels(server=""), "the callee has no name"),
        ({"server": "cart"}, "the caller has no name"),
        (labels(server="shop"), SELF_CALL),
        (labels(server="a\nb"), "the callee's name holds U+000A"),
        (labels(client=" shop"), "the caller's name begins or ends with white space"),
        (labels(server="x" * 256), "the callee's name has 256 characters"),
    ],
)
def test_a_series_that_is_no_call_says_why(series: dict[str, str], reason: str) -> None:
    found = call_of(series)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_a_bad_name_of_a_queue_skips_the_series() -> None:
    found = call_of(labels(kind="messaging_system", client_messaging_destination_name="q\n"))
    assert isinstance(found, str)
    assert found.startswith("the callee's name")


def test_a_service_named_user_that_sends_spans_is_a_service() -> None:
    assert call_of(labels(server="user")) == call(("shop", "user"))
    assert call_of(labels(client="user")) == call(("user", "cart"))
    assert call_of(labels(client="user", server="users-db", kind="database")) == call(
        ("user", "users-db"), **{"users-db": DATABASE}
    )


def test_names_follow_the_rules_with_the_dimensions_of_each_side() -> None:
    names = NameRules("{cluster}/{namespace}/{service}", ((re.compile("-v[0-9]+$"), ""),))
    series = labels("shop-v2", "cart", client_service_namespace="web", cluster="eu") | dotted(
        server_k8s__namespace__name="back"
    )
    # What Prometheus scraped the series from says nothing of either side.
    found = call_of(series | {"namespace": "monitoring"}, names)
    assert found == call(("eu/web/shop", "eu/back/cart"))
    found = call_of(labels("shop", "cart", namespace="monitoring"), names)
    assert found == call(("shop", "cart"))


def test_rules_that_make_one_name_of_both_ends_leave_no_dependency() -> None:
    names = NameRules(rewrites=((re.compile("-(blue|green)$"), ""),))
    assert call_of(labels("shop-blue", "shop-green"), names) == SELF_CALL


def test_a_long_system_is_cut_to_the_length_of_a_protocol() -> None:
    found = call_of(labels(kind="database", server="db", client_db_system="x" * 60))
    assert isinstance(found, Call)
    assert found.links[0].protocol == "x" * 50
