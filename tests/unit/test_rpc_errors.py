"""The error table: statuses and details of all domain errors."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2

from depgraph.v1.errors_pb2 import ErrorReason
from server.domain import errors
from server.domain.errors import DomainError, FieldViolation, InvalidInputError
from server.rpc.errors import code_of, shortened, status_of, unexpected_error

PREFIX = "ERROR_REASON_"
# The trailing metadata that clients accept, less what gRPC adds. Details are sent in base64, the
# message percent-encoded.
MOST_TRAILERS = 8 * 1024 - 200


def subclasses(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def bad_request(error: DomainError) -> list[tuple[str, str]]:
    details = error_details_pb2.BadRequest()
    assert status_of(error).details[-1].Unpack(details)
    return [(violation.field, violation.description) for violation in details.field_violations]


def test_the_domain_and_the_contract_have_the_same_error_reasons() -> None:
    raised = {PREFIX + kind.reason for kind in subclasses(DomainError)}
    assert raised == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidInputError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.InvalidPageTokenError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.InvalidRevisionError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.ServiceNotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.DependencyNotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.AlertNotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.ServiceAlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.AliasAlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.AliasNotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.AlertAlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.AlertResolvedError, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.RevisionUnknownError, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.WriteConflictError, grpc.StatusCode.ABORTED),
        (errors.ResponseTooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.TooManyConnectionsError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.DatabaseUnavailableError, grpc.StatusCode.UNAVAILABLE),
        (errors.ReplicaBehindError, grpc.StatusCode.UNAVAILABLE),
        (errors.NotReadyError, grpc.StatusCode.UNAVAILABLE),
        (errors.DomainError, grpc.StatusCode.INTERNAL),
    ],
)
def test_each_error_has_the_code_that_the_contract_names(
    kind: type[DomainError], code: grpc.StatusCode
) -> None:
    assert code_of(kind("message")) is code


def test_a_status_has_domain_reason_and_metadata() -> None:
    status = status_of(errors.ServiceNotFoundError("no service named 'x'", service_id="x"))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message) == (5, "no service named 'x'")
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "depgraph",
        "SERVICE_NOT_FOUND",
        {"service_id": "x"},
    )


def test_a_retryable_error_has_a_retry_delay() -> None:
    error = errors.NotReadyError("warming")
    error.retry_after = timedelta(milliseconds=1500)
    status = status_of(error)
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta() == timedelta(milliseconds=1500)


def test_violations_are_listed_even_with_code_not_found() -> None:
    violations = [FieldViolation("dependencies[1].source_service_id", "no service is named 'a'")]
    assert bad_request(errors.ServiceNotFoundError("1 end", violations=violations)) == [
        ("dependencies[1].source_service_id", "no service is named 'a'")
    ]


def test_a_few_violations_are_all_listed() -> None:
    violations = [FieldViolation(f"services[{place}].service_id", "is empty") for place in range(30)]
    listed = bad_request(InvalidInputError("many", violations=violations))
    assert listed == [(violation.field, violation.description) for violation in violations]


def test_violations_beyond_the_limit_are_counted() -> None:
    violations = [FieldViolation(f"services[{place}].service_id", "is empty") for place in range(10_000)]
    listed = bad_request(InvalidInputError("many", violations=violations))
    assert listed[-1] == ("…", f"and {10_000 - len(listed) + 1:,} more")
    assert listed[0] == ("services[0].service_id", "is empty")


@pytest.mark.parametrize("letter", ["a", "ü", "漢", "\n"])
def test_a_status_with_long_parts_still_fits_what_clients_accept(letter: str) -> None:
    error = InvalidInputError(
        letter * 100_000,
        violations=[FieldViolation("f", letter * 300)] * 1_000,
        service_id=letter * 100_000,
    )
    status = status_of(error)
    percent_encoded = sum(1 if 0x20 <= byte < 0x7F else 3 for byte in status.message.encode())
    assert percent_encoded + status.ByteSize() * 4 / 3 < MOST_TRAILERS


def test_text_is_cut_between_characters() -> None:
    assert shortened("häuser", 6) == "hä…"
    assert shortened("haus", 4) == "haus"


def test_an_unexpected_error_shows_only_its_id() -> None:
    first, second = unexpected_error(), unexpected_error()
    assert first.metadata["error_id"] in first.message
    assert first.metadata != second.metadata
    assert first.reason == "INTERNAL"
