"""What every call passes through, without a transport."""

import asyncio

from server.config import Limits
from server.rpc.admission import Admission
from server.rpc.answering import Answering
from server.rpc.ports import CallObserver
from server.rpc.running import RunningCalls


async def nobody_else(_: object) -> None:
    """Wait for nobody outside."""
    await asyncio.sleep(0)


def admission(limits: Limits | None = None) -> Admission:
    """Make what lets calls in."""
    return Admission(limits or Limits(), nobody_else)


def answering(observer: CallObserver | None = None, calls: RunningCalls | None = None) -> Answering:
    """Make what answers calls."""
    return Answering(calls or RunningCalls(), Limits(), admission(), observer)
