"""Messages as JSON, in pieces: the same as protobuf's own, which reads and writes them whole."""

import asyncio
import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.catalog_service_pb2 import BatchUpsertServicesRequest, CreateServiceRequest
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import Consistency, Service
from server.config import Limits
from server.domain.errors import InvalidInputError, RequestTooLargeError, TooManyItemsError
from server.rpc.reading import bounds_of
from server.web import json_answers, json_requests
from server.web.call import Sender
from server.web.connect import _Question, _Stream
from server.web.json_answers import json_pieces
from server.web.json_requests import request_of
from server.web.messages import types_of
from tests.support.examples import examples

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
KINDS: list[type[Message]] = [
    graph.TraverseResponse,
    graph.BatchTraverseResponse,
    graph.GetStatusResponse,
    graph.WatchResponse,
    BatchUpsertServicesRequest,
    IngestGraphRequest,
]
LONG = json_format.ParseDict({"k": "v" * 30}, Struct())
BATCH = bounds_of("/depgraph.v1.CatalogService/BatchUpsertServices", Limits())
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def fill(message: Any, data: st.DataObject, levels: int) -> None:
    """Give some fields of a message values."""
    if message.DESCRIPTOR.full_name == Timestamp.DESCRIPTOR.full_name:
        message.FromSeconds(data.draw(st.integers(0, 2**33)))
    elif message.DESCRIPTOR.full_name == "google.protobuf.Duration":
        message.FromSeconds(data.draw(st.integers(-(2**31), 2**31)))
    elif message.DESCRIPTOR.full_name == "google.protobuf.Struct":
        message.update(data.draw(st.dictionaries(TEXTS, TEXTS | st.booleans() | st.none(), max_size=3)))
    elif message.DESCRIPTOR.full_name == "google.protobuf.Any":
        return
    else:
        for field in data.draw(st.lists(st.sampled_from(list(message.DESCRIPTOR.fields)), max_size=4)):
            fill_field(message, field, data, levels)


def fill_field(message: Any, field: Any, data: st.DataObject, levels: int) -> None:
    if field.message_type is not None and (not levels or field.message_type.GetOptions().map_entry):
        return
    if field.message_type is not None:
        if field.is_repeated:
            for _ in range(data.draw(st.integers(1, 3))):
                fill(getattr(message, field.name).add(), data, levels - 1)
        else:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), data, levels - 1)
        return
    values = data.draw(st.lists(value_of(field), min_size=1, max_size=4))
    if field.is_repeated:
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, values[0])


def value_of(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=4)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return TEXTS
    return INTEGERS.get(field.cpp_type, st.floats(width=32, allow_nan=False, allow_infinity=False))


async def written(encoded: bytes, kind: type[Message]) -> bytes:
    return b"".join([piece async for piece in json_pieces(encoded, kind)])


def read(text: str) -> BatchUpsertServicesRequest:
    encoded = asyncio.run(request_of(text.encode(), BatchUpsertServicesRequest, BATCH))
    return BatchUpsertServicesRequest.FromString(encoded)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even short messages be cut."""
    monkeypatch.setattr(json_answers, "PIECE_BYTES", 12)


@given(data=st.data())
@examples(40)
def test_an_answer_in_pieces_is_the_json_that_protobuf_writes(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    message = kind()
    fill(message, data, 3)
    encoded = message.SerializeToString()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_answers, "PIECE_BYTES", data.draw(st.sampled_from([0, 12, 100])))
        found = asyncio.run(written(encoded, kind))
    assert json.loads(found) == json_format.MessageToDict(message)


@given(data=st.data())
@examples(40)
def test_a_request_item_by_item_is_the_message_that_protobuf_reads(data: st.DataObject) -> None:
    kind: type[Message]
    kind, method = data.draw(
        st.sampled_from(
            [
                (BatchUpsertServicesRequest, "CatalogService/BatchUpsertServices"),
                (IngestGraphRequest, "DependencyService/IngestGraph"),
                (graph.TraverseRequest, "GraphService/Traverse"),
                (graph.BatchTraverseRequest, "GraphService/BatchTraverse"),
            ]
        )
    )
    message = kind()
    fill(message, data, 3)
    text = json_format.MessageToJson(
        message,
        indent=data.draw(st.sampled_from([None, 2])),
        preserving_proto_field_name=data.draw(st.booleans()),
        ensure_ascii=data.draw(st.booleans()),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_requests, "_USUAL_CHARACTERS", data.draw(st.sampled_from([1, 8, 2048])))
        bounds = bounds_of(f"/depgraph.v1.{method}", Limits())
        encoded = asyncio.run(request_of(text.encode(), kind, bounds))
    assert kind.FromString(encoded) == json_format.Parse(text, kind())


async def test_parts_of_a_message_that_were_written_one_after_the_other_belong_together(
    pieces: None,
) -> None:
    parts = [
        graph.TraverseResponse(service_ids=["a" * 20]),
        graph.TraverseResponse(services=[Service(service_id="b", metadata=LONG)]),
        graph.TraverseResponse(service_ids=["c"], services=[Service(service_id="d" * 30)]),
    ]
    encoded = b"".join(part.SerializeToString() for part in parts)
    whole = graph.TraverseResponse.FromString(encoded)
    assert json.loads(await written(encoded, graph.TraverseResponse)) == json_format.MessageToDict(whole)


async def test_a_long_answer_is_written_in_pieces() -> None:
    services = [Service(service_id=f"service-{number}", team="t" * 100) for number in range(1_000)]
    answer = graph.TraverseResponse(services=services).SerializeToString()
    sizes = [len(piece) async for piece in json_pieces(answer, graph.TraverseResponse)]
    assert len(sizes) > 20
    assert max(sizes) < 3 * json_answers.PIECE_BYTES


async def test_other_work_runs_while_a_long_list_is_read_and_written() -> None:
    services = [Service(service_id=f"service-{number}", team="t" * 100) for number in range(3_000)]
    message = BatchUpsertServicesRequest(services=services)
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    text = await written(message.SerializeToString(), BatchUpsertServicesRequest)
    # The work is cut by time: half a millisecond a piece, and it takes a tenth of a second.
    assert rounds > 10
    rounds = 0
    assert await request_of(text, BatchUpsertServicesRequest, BATCH) == message.SerializeToString()
    assert rounds > 10
    counting.cancel()


async def test_other_work_runs_while_a_stream_of_many_short_parts_is_sent() -> None:
    sent = rounds = 0

    async def send(_: Any) -> None:
        nonlocal sent
        sent += 1

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    types = types_of("/depgraph.v1.GraphService/GetAdjacencyList")
    stream = _Stream(Sender("ipv4:127.0.0.1:1"), _Question(True, {}, None), types, send)
    part = graph.GetAdjacencyListResponse(service_id="a", target_service_ids=["b"]).SerializeToString()
    counting = asyncio.create_task(count())
    for _ in range(2_000):
        await stream.context.write(part)
    assert sent > 2_000
    # A tenth of a second of work in slices of half a millisecond.
    assert rounds > 10
    counting.cancel()


@pytest.mark.parametrize(
    ("text", "field", "wrong"),
    [
        ('{"foo": 1}', "foo", "there is no such field"),
        ('{"services": [{}, {"x": 1}]}', "services[1].x", "there is no such field"),
        ('{"services": [{}, {"serviceId": 1}]}', "services[1].serviceId", "expected string"),
        ('{"services": [{"kind": "BAD"}]}', "services[0].kind", "Invalid enum value BAD"),
        ('{"services": [{"createTime": "z"}]}', "services[0].createTime", "Failed to parse timestamp"),
        ('{"services": [{}, {"metadata": 3}]}', "services[1].metadata", "Struct must be in a dict"),
        ('{"services": {}}', "services", "must be in []"),
        ('{"services": [1]}', "services[0]", "has to be an object"),
        ('{"services": [null]}', "services[0]", "null is not allowed"),
        ('{"services": [], "services": []}', "services", "is there twice"),
        ('{"services": [{"id": "a", "id": "b"}]}', "id", "is there twice"),
        (f'{{"services": [{{"metadata": {"[" * 500}{"]" * 500}}}]}}', "services[0].metadata", "Struct"),
    ],
)
def test_what_is_wrong_names_its_field(text: str, field: str, wrong: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(text)
    assert wrong in str(caught.value)
    assert [each.field for each in caught.value.violations] == [field]


@pytest.mark.parametrize(
    ("method", "message", "text", "field", "wrong"),
    [
        (
            "GraphService/Traverse",
            graph.TraverseRequest,
            '{"maxDepth": "x"}',
            "maxDepth",
            "'x' is not a whole number",
        ),
        ("GraphService/Traverse", graph.TraverseRequest, '{"maxDepth": 1.5}', "maxDepth", "1.5"),
        ("GraphService/Traverse", graph.TraverseRequest, '{"filter": 3}', "filter", "has to be an object"),
        (
            "GraphService/Traverse",
            graph.TraverseRequest,
            '{"filter": {"foo": []}}',
            "filter.foo",
            "there is no such field",
        ),
        (
            "GraphService/Traverse",
            graph.TraverseRequest,
            '{"direction": "UP"}',
            "direction",
            "Invalid enum value UP",
        ),
        (
            "CatalogService/CreateService",
            CreateServiceRequest,
            '{"service": {"team": []}}',
            "service.team",
            "expected string",
        ),
    ],
)
def test_what_is_wrong_in_a_question_names_its_field(
    method: str, message: type[Message], text: str, field: str, wrong: str
) -> None:
    with pytest.raises(InvalidInputError, match=wrong) as caught:
        asyncio.run(request_of(text.encode(), message, bounds_of(f"/depgraph.v1.{method}", Limits())))
    assert [each.field for each in caught.value.violations] == [field]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "}", "{} x", "{}{}", '{"services"}', '{"services":}', '{"services" []}'),
        *('{"services": [}', '{"services": []', '{"services": [],}', '{"services": [{},]}', "{,}"),
        *('{"services": [{}{}]}', '{"services": [{}', "{services: []}", "NaN", '{"services": [NaN]}'),
        *("[" * 100_000, '{"services": [' + "[" * 100_000, '{"a": ' + "1" * 5_000 + "}", "\ufeff{}"),
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read(text)


def test_json_that_is_no_object_is_refused() -> None:
    for text in ("[]", "null", "1", '"a"', "true"):
        with pytest.raises(InvalidInputError, match="has to be a JSON object"):
            read(text)
    with pytest.raises(InvalidInputError, match="byte 1 is wrong"):
        asyncio.run(request_of(b"{\xff}", BatchUpsertServicesRequest, BATCH))


def test_a_list_and_its_items_have_the_bounds_of_the_method() -> None:
    with pytest.raises(TooManyItemsError, match=r"services: has more than 10,000 items"):
        read('{"services": [' + "{}," * 10_000 + "{}]}")
    long = '{"services": [{"metadata": [' + ",".join(["[]"] * 200_000) + "]}]}"
    with pytest.raises(InvalidInputError, match="takes more than the 458,752 characters"):
        read(long)
    with pytest.raises(RequestTooLargeError, match="4,194,305 bytes"):
        BATCH.check_size(4 * 1024 * 1024 + 1)


def test_a_long_text_in_an_error_is_cut() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read('{"' + "x" * 10_000 + '": 1}')
    assert len(str(caught.value)) < 700


def test_null_is_a_field_that_is_not_there() -> None:
    assert read('{"services": null}') == BatchUpsertServicesRequest()
    asked = graph.TraverseRequest(consistency=Consistency(fully_consistent=True))
    text = '{"consistency": {"fullyConsistent": true}, "filter": null}'
    bounds = bounds_of("/depgraph.v1.GraphService/Traverse", Limits())
    assert asyncio.run(request_of(text.encode(), graph.TraverseRequest, bounds)) == asked.SerializeToString()
