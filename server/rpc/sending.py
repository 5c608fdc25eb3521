"""What is sent to a caller who may be gone."""

import asyncio
from collections.abc import Awaitable
from typing import NoReturn

import grpc
from grpc_status import rpc_status

from server.domain.errors import DomainError
from server.rpc.context import Context
from server.rpc.errors import status_of

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
    await _sent(context.abort_with_status(rpc_status.to_status(status_of(error))))


async def abort_unimplemented(context: Context) -> NoReturn:
    """Answer a call of a method of which only the contract is there; raises as ``abort`` does."""
    await _sent(context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server does not implement the method"))


async def _sent(aborting: Awaitable[NoReturn]) -> NoReturn:
    try:
        await aborting
    except grpc.aio.InternalError as failure:
        # gRPC cancels no call whose status it tried to send, but takes this for its cancellation.
        raise asyncio.CancelledError("the caller is gone") from failure
