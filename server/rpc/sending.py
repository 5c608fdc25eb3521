"""What is sent to a caller who may be gone."""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import NoReturn

import grpc
from grpc_status import rpc_status

from server.domain.errors import DomainError, OverloadedError
from server.rpc.context import Context
from server.rpc.errors import pushback, status_of

# gRPC cancels the call of a caller who is gone within milliseconds.
_CANCELLED_WITHIN_SECONDS = 5


async def after_failed_write() -> None:
    """
    Wait until gRPC cancels this call; returns when it does not.

    A write fails when the caller is gone, and gRPC reports the failure before or after it cancels the call.
    It logs a failure that comes first as an error with a traceback, and a cancellation not at all. So whoever
    fails to write waits here for the cancellation. Without one the failure has another cause.
    """
    await asyncio.sleep(_CANCELLED_WITHIN_SECONDS)


async def abort(context: Context, error: DomainError) -> NoReturn:
    """Send an error's status; raises ``AbortError``, or ``CancelledError`` when the caller is gone."""
    try:
        await _sent(context.abort(*status_and_metadata(error)))
    finally:
        # gRPC keeps an abort with this frame, and the frame would keep what gRPC keeps the abort by.
        del context


def status_and_metadata(error: DomainError) -> tuple[grpc.StatusCode, str, Sequence[tuple[str, str | bytes]]]:
    """Write an error as transports send it: code, message, and trailing metadata that hold the details."""
    status = _refusal(error) if isinstance(error, OverloadedError) else _status(error)
    return status.code, status.details, (*status.trailing_metadata, *pushback(error))


def _status(error: DomainError) -> grpc.Status:
    status: grpc.Status = rpc_status.to_status(status_of(error))
    return status


# Refusals are many, and nearly always one of a few errors.
_refusal = lru_cache(8)(_status)


def forget_frames(error: BaseException | None) -> None:
    """
    Let go of what the functions that failed held, requests above all.

    The abort that follows remembers what it came from, and gRPC the abort, until garbage is looked for.
    """
    while error is not None:
        before = error.__context__
        error.__traceback__ = error.__cause__ = error.__context__ = None
        error = before


async def abort_unimplemented(context: Context) -> NoReturn:
    """Answer a call of a method of which only the contract is there; raises as ``abort`` does."""
    await _sent(context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server does not implement the method"))


async def _sent(aborting: Awaitable[NoReturn]) -> NoReturn:
    try:
        await aborting
    except grpc.aio.InternalError as failure:
        # gRPC cancels no call whose status it tried to send, but takes this for its cancellation.
        raise asyncio.CancelledError("the caller is gone") from failure
