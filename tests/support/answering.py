"""The path of every call, without a transport."""

import asyncio

from server.config import Limits
from server.rpc.admission import Admission
from server.rpc.answering import Answering
from server.rpc.running import RunningCalls


async def no_backlog() -> None:
    """Admit the backlog of a transport that has none."""
    await asyncio.sleep(0)


def admission(limits: Limits | None = None) -> Admission:
    """Make an admission without a transport."""
    return Admission(limits or Limits(), no_backlog)


def answering(calls: RunningCalls | None = None) -> Answering:
    """Make an answering without a transport."""
    return Answering(calls or RunningCalls(), Limits(), admission())
