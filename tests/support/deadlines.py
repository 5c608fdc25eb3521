"""Calls with a deadline before which something must happen, however slow the machine is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from server.rpc import context
from tests.support.eventually import PATIENCE_SECONDS

Call = grpc.aio.UnaryUnaryCall[Any, Any]


async def before_its_deadline(
    begin: Callable[[float], Call], happened: Callable[[], Awaitable[bool]], first: float
) -> Call:
    """
    Begin a call, and return it, still running, once something has happened.

    If the deadline (seconds) comes first, the call is repeated with twice the time.
    """
    deadline = first
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            call = begin(deadline)
            while not call.done():
                if await happened():
                    return call
                await asyncio.sleep(0.005)
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            deadline *= 2


def answer_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep back three quarters of a deadline, so that answers are in time on a slow machine too."""
    monkeypatch.setattr(context, "_LONGEST_MARGIN", 60.0)
    monkeypatch.setattr(context, "_MARGIN_SHARE", 0.75)
