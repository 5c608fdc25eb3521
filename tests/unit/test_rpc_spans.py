"""What a call hands over for its span on the quick path, where no task is made."""

from types import SimpleNamespace
from typing import Any

import grpc

from server.config import Limits
from server.domain.caller import ANYONE, Caller
from server.rpc.answering import Answering
from server.rpc.answers import answered_revision
from server.rpc.running import RunningCalls
from tests.support.answering import admission

METHOD = "/depgraph.v1.GraphService/Traverse"
CONTEXT: Any = SimpleNamespace(peer=lambda: "somewhere")


class Recorded:
    """Keeps what spans would say."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, str]] = []

    def record(self, method: str, code: str, _seconds: float, _context: Any, principal: str) -> None:
        self.calls.append((method, code, answered_revision.get(), principal))


class Servicer:
    """Answers at once, from revision to revision."""

    revision = "r1"

    def Traverse_at_once(self, _: Any) -> bytes:  # noqa: N802
        if self.revision:
            answered_revision.set(self.revision)
        return b"answer"

    async def Traverse(self, _request: Any, _context: Any) -> bytes:  # noqa: N802
        return b"answer"


async def test_a_call_answered_at_once_is_recorded_with_its_caller_and_its_own_revision() -> None:
    recorded: Any = Recorded()
    servicer, ana = Servicer(), Caller("ana", ANYONE.roles)
    answers = Answering(RunningCalls(), Limits(), admission(), tracer=recorded)
    handler: Any = grpc.unary_unary_rpc_method_handler(servicer.Traverse, response_serializer=bytes)
    at_once = answers.method(METHOD, handler).at_once
    assert at_once is not None
    sent: list[bytes] = []
    assert at_once(b"", CONTEXT, sent.append, ana)
    servicer.revision = ""
    assert at_once(b"", CONTEXT, sent.append, ana)
    assert sent == [b"answer", b"answer"]
    assert recorded.calls == [(METHOD, "OK", "r1", "ana"), (METHOD, "OK", "", "ana")]
    [counted] = answers.counts
    assert (counted.started, counted.ended) == (2, {"OK": 2})
