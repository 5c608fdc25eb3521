"""Records against the generated code: the same message, and the same bytes."""

from itertools import cycle
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import TraverseResponse, WatchResponse
from server import wire
from server.domain.dependencies import Dependency, DependencyRow
from server.domain.services import Service
from tests.support.copy_stream import chunks, copy_stream
from tests.support.kernel_forms import given_in_both_forms
from tests.support.wire_batches import (
    dependency_columns,
    read_dependencies,
    read_services,
    service_columns,
)
from tests.support.wire_rows import (
    dependencies,
    dependency_message,
    in_turn,
    names,
    service_message,
    services,
    texts,
)

# A batch every few rows.
SMALL = wire.BatchSize(content=400, rows=3)


def named(row: DependencyRow, source: str, target: str) -> Dependency:
    return Dependency(row.id, source, target, *row[3:])


@given(services)
def test_the_record_of_a_service_says_what_the_row_says(row: Service) -> None:
    record = wire.service_record(row)
    assert wire.service_of(record) == service_message(row)
    # The generated code writes the keys of metadata in an order of its own.
    assert len(record) == TraverseResponse(services=[service_message(row)]).ByteSize()


@given(services)
def test_the_record_of_a_service_is_what_the_generated_code_writes(row: Service) -> None:
    plain = row._replace(metadata="{}")
    assert (
        wire.service_record(plain) == TraverseResponse(services=[service_message(plain)]).SerializeToString()
    )


@given(dependencies, texts, names)
def test_the_record_of_a_dependency_says_what_the_row_says(
    row: DependencyRow, source: str, target: str
) -> None:
    record = wire.dependency_record(row, source, target)
    message = dependency_message(row, source, target)
    # Compared as bytes, which NaN is equal to itself as.
    expected = message.SerializeToString(deterministic=True)
    assert wire.dependency_of(record).SerializeToString(deterministic=True) == expected
    assert record == TraverseResponse(dependencies=[message]).SerializeToString(deterministic=True)


@given(texts | names)
def test_the_encoded_id_of_a_service_is_its_name_in_an_answer(name: str) -> None:
    assert wire.encoded_id(name) == TraverseResponse(service_ids=[name]).SerializeToString()


@given(st.lists(services, max_size=3), st.lists(dependencies, max_size=3))
def test_an_answer_is_its_records_joined(nodes: list[Service], edges: list[DependencyRow]) -> None:
    joined = b"".join(
        [wire.service_record(row) for row in nodes]
        + [wire.encoded_id(row.service_id) for row in nodes]
        + [wire.dependency_record(row, "a", "b") for row in edges]
    )
    answer = TraverseResponse(
        services=map(service_message, nodes),
        service_ids=[row.service_id for row in nodes],
        dependencies=[dependency_message(row, "a", "b") for row in edges],
    )
    assert TraverseResponse.FromString(joined).SerializeToString(
        deterministic=True
    ) == answer.SerializeToString(deterministic=True)


@given(dependencies, texts, texts, texts, names)
def test_a_renamed_dependency_is_the_row_with_other_names(
    row: DependencyRow, source: str, target: str, new_source: str, new_target: str
) -> None:
    record = wire.dependency_record(row, source, target)
    assert wire.renamed(record, new_source, new_target) == wire.dependency_record(row, new_source, new_target)


@given(dependencies, texts, texts, st.floats(0, 1))
def test_a_dependency_with_another_confidence_is_the_row_with_it(
    row: DependencyRow, source: str, target: str, confidence: float
) -> None:
    record = wire.dependency_record(row, source, target)
    changed = wire.dependency_record(row._replace(confidence_score=confidence), source, target)
    assert wire.with_confidence(record, confidence) == changed


@given(services, dependencies, texts, names)
def test_a_record_tells_what_watchers_are_told_of_a_removed_row(
    node: Service, edge: DependencyRow, source: str, target: str
) -> None:
    assert wire.service_name(wire.service_record(node)) == node.service_id
    ends = wire.dependency_ends(wire.dependency_record(edge, source, target))
    number = dependency_message(edge, source, target).discovery_source
    assert ends == (source, target, number)


@given(services, dependencies)
def test_a_record_becomes_a_field_of_another_answer(node: Service, edge: DependencyRow) -> None:
    watched = WatchResponse.FromString(
        wire.retagged(wire.service_record(node), 2) + wire.retagged(wire.dependency_record(edge, "a", "b"), 4)
    )
    assert watched.upserted_services[0] == service_message(node)
    assert UUID(watched.upserted_dependencies[0].id) == edge.id


@given_in_both_forms(100, in_turn(services, 12), st.integers(0, 1_000))
def test_services_come_out_of_a_copy_stream_as_one_by_one(rows: list[Service], seed: int) -> None:
    copy = wire.ServiceCopy(SMALL)
    batches = [batch for chunk in chunks(copy_stream(rows), seed) for batch in copy.take(chunk)]
    batches += copy.finish()
    assert read_services(batches) == service_columns(rows)


@given_in_both_forms(
    100,
    in_turn(services, 6, least=1),
    in_turn(dependencies, 12),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=12),
    st.integers(0, 1_000),
)
def test_dependencies_come_out_of_a_copy_stream_as_one_by_one(
    nodes: list[Service], rows: list[DependencyRow], ends: list[tuple[int, int]], seed: int
) -> None:
    # Some ends are services that are not there.
    keys = dict(enumerate(node.id for node in nodes))
    edges = [
        row._replace(source=keys.get(source, row.source), target=keys.get(target, row.target))
        for row, (source, target) in zip(rows, cycle(ends), strict=False)
    ]
    services_copy = wire.ServiceCopy(SMALL)
    services_copy.take(copy_stream(nodes))
    services_copy.finish()
    copy = services_copy.dependencies()
    batches = [batch for chunk in chunks(copy_stream(edges), seed) for batch in copy.take(chunk)]
    batches += copy.finish()
    assert read_dependencies(batches) == dependency_columns(edges, nodes)
