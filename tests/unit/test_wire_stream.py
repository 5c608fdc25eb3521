"""COPY streams that are cut, broken, large or full of keys that look alike."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import pack
from uuid import UUID

import pytest

from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import CopyFormatError
from server.domain.services import Service
from tests.support.copy_stream import HEADER, TRAILER, copy_stream
from tests.support.kernel_forms import FORMS, kernels_in_form
from tests.support.wire_batches import (
    dependency_columns,
    read_dependencies,
    read_services,
    service_columns,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def service(number: int, name: str = "") -> Service:
    return Service(UUID(int=number), name or f"s{number}", "{}", "high", None, False, NOW, NOW)


def dependency(number: int, source: int, target: int) -> DependencyRow:
    ends = UUID(int=source), UUID(int=target)
    later = NOW + timedelta(seconds=number)
    return DependencyRow(
        UUID(int=number), *ends, "sync", "hard", None, None, None, "manual", 1.0, later, False, NOW, later
    )


def test_a_stream_may_come_byte_by_byte() -> None:
    rows = [service(number) for number in range(5)]
    copy = wire.ServiceCopy()
    taken = [copy.take(bytes((byte,))) for byte in copy_stream(rows)]
    assert not any(taken)
    assert read_services(copy.finish()) == service_columns(rows)


def test_keys_that_look_alike_are_told_apart() -> None:
    numbers = [*range(1_200), *(number << 32 for number in range(1, 300)), *(n << 96 for n in range(1, 300))]
    rows = [service(number) for number in numbers]
    edges = [dependency(at, number, numbers[at - 1]) for at, number in enumerate(numbers)]
    edges += [dependency(5_000 + number, number << 64, 0) for number in range(1, 50)]
    copy = wire.ServiceCopy(wire.BatchSize(content=40_000, rows=500))
    assert read_services([*copy.take(copy_stream(rows)), *copy.finish()]) == service_columns(rows)
    edge_copy = copy.dependencies()
    found = [*edge_copy.take(copy_stream(edges)), *edge_copy.finish()]
    assert read_dependencies(found) == dependency_columns(edges, rows)
    assert sum(len(batch.strays) for batch in found) == 49


def test_a_row_larger_than_a_batch_is_read() -> None:
    rows = [service(1), service(2, "x" * 50_000), service(3)]
    copy = wire.ServiceCopy(wire.BatchSize(content=1_000, rows=2))
    assert read_services([*copy.take(copy_stream(rows)), *copy.finish()]) == service_columns(rows)
    edges = [dependency(9, 2, 3), dependency(10, 1, 2)]
    edge_copy = copy.dependencies()
    found = [*edge_copy.take(copy_stream(edges)), *edge_copy.finish()]
    assert read_dependencies(found) == dependency_columns(edges, rows)


def test_a_record_that_was_handed_out_stays_as_it_is() -> None:
    rows = [service(number) for number in range(20)]
    copy = wire.ServiceCopy(wire.BatchSize(content=300, rows=3))
    stream = copy_stream(rows)
    early = copy.take(stream[:1_000])
    before = read_services(early)
    late = [*copy.take(stream[1_000:]), *copy.finish()]
    assert read_services(early) == before
    assert read_services([*early, *late]) == service_columns(rows)


@pytest.mark.parametrize("lost", [1, 2, 3, 30, 200])
def test_a_stream_that_breaks_off_is_noticed(lost: int) -> None:
    copy = wire.ServiceCopy()
    copy.take(copy_stream([service(1), service(2), service(3)])[:-lost])
    with pytest.raises(CopyFormatError, match="broke off"):
        copy.finish()


@pytest.mark.parametrize("nothing", [b"", HEADER[:-1], HEADER])
def test_a_stream_without_an_end_is_noticed(nothing: bytes) -> None:
    copy = wire.ServiceCopy()
    copy.take(nothing)
    with pytest.raises(CopyFormatError, match="broke off"):
        copy.finish()


def test_bytes_behind_the_end_are_noticed() -> None:
    copy = wire.ServiceCopy()
    copy.take(copy_stream([service(1)]) + b"\0")
    with pytest.raises(CopyFormatError, match="broke off"):
        copy.finish()


def test_what_does_not_begin_like_a_stream_is_refused() -> None:
    with pytest.raises(CopyFormatError, match="does not begin"):
        wire.ServiceCopy().take(b"id,service_id,metadata\n")


@pytest.mark.parametrize(
    "row",
    [
        pack(">hi", 8, 15) + bytes(15),
        pack(">hi", 8, -2),
        pack(">hi", 7, -1) + pack(">i", -1) * 6,
        pack(">h", 8) + pack(">i", -1) * 8,
        pack(">h", -2),
    ],
)
def test_a_row_of_other_columns_is_refused(row: bytes) -> None:
    copy = wire.ServiceCopy()
    copy.take(HEADER + row + TRAILER)
    with pytest.raises(CopyFormatError, match="other columns"):
        copy.finish()


def test_a_time_behind_the_year_9999_is_refused_as_the_driver_refuses_it() -> None:
    written = pack(">q", (NOW - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    copy = wire.ServiceCopy()
    copy.take(copy_stream([service(1)]).replace(written, pack(">q", 252_455_616_000_000_000)))
    with pytest.raises(OverflowError):
        copy.finish()


@pytest.mark.parametrize(
    "metadata",
    [
        '{"tier": "gold", "owner": "ж", "n": [1, -2.5, true, false, null, [], {}], "deep": {"a": {"b": {}}}}',
        '{"text": "' + "x" * 20_000 + '"}',
        r'{"quoted \"": "\\ \/ \n\t"}',
    ],
)
def test_usual_rows_are_written_by_kernels_alone(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [service(1)._replace(metadata=metadata, team="x"), service(2)]
    edges = [dependency(1, 1, 2)._replace(protocol="grpc", timeout_ms=3, is_stale=True)]
    expected = service_columns(rows), dependency_columns(edges, rows)

    def refused(*_: object) -> bytes:
        raise AssertionError

    for name in ("completed_service", "completed_dependency", "service_record", "dependency_record"):
        monkeypatch.setattr(f"server.wire.copying.{name}", refused)
    copy = wire.ServiceCopy()
    nodes = read_services([*copy.take(copy_stream(rows)), *copy.finish()])
    edge_copy = copy.dependencies()
    found = read_dependencies([*edge_copy.take(copy_stream(edges)), *edge_copy.finish()])
    assert (nodes, found) == expected
