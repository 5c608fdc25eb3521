"""The error of a failed call."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Failure:
    """``fields`` maps each bad field to what is wrong with it; ``size`` is that of the trailers."""

    code: grpc.StatusCode
    message: str
    domain: str
    reason: str
    metadata: dict[str, str]
    fields: dict[str, str]
    retry_after: timedelta | None
    size: int


async def failure_of(call: Awaitable[Any]) -> Failure:
    """Wait for a call that must fail, and read what it says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return read_failure(caught.value)


def read_failure(error: grpc.aio.AioRpcError) -> Failure:
    """Read what a failed call says."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers.get(_DETAILS, b""))
    message = error.details() or ""
    assert not trailers or status.code == error.code().value[0]
    size = len(message.encode()) + sum(len(key) + len(value) for key, value in trailers.items())
    return replace(failure_in(status), code=error.code(), message=message, size=size)


def failure_in(status: Any) -> Failure:
    """Read what a ``google.rpc.Status`` says; its size is that of the message."""
    error = _detail(status, error_details_pb2.ErrorInfo())
    request = _detail(status, error_details_pb2.BadRequest())
    retry = _detail(status, error_details_pb2.RetryInfo())
    return Failure(
        code=_CODES[status.code],
        message=status.message,
        domain=error.domain if error else "",
        reason=error.reason if error else "",
        metadata=dict(error.metadata) if error else {},
        fields={item.field: item.description for item in request.field_violations} if request else {},
        retry_after=retry.retry_delay.ToTimedelta() if retry else None,
        size=status.ByteSize(),
    )


def _detail(status: Any, message: Message) -> Any:
    """Unpack the detail of a type; None = there is none."""
    return next((message for detail in status.details if detail.Unpack(message)), None)
