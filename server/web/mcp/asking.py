"""How tools ask the server: one interface, whatever carries the calls."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from depgraph.v1.errors_pb2 import ErrorReason

AnswerT = TypeVar("AnswerT", bound=Message)


class Ask(Protocol):
    """Calls a method by its full name: ``/package.Service/Method``."""

    def __call__(self, method: str, request: Message, answer: type[AnswerT]) -> AsyncIterator[AnswerT]:
        """
        Yield the answer, or the parts of an answer that is a stream.

        Raises ``AskError``. Closing the iterator cancels the call.
        """


class AskError(Exception):
    """A call failed; the message says why, in words for people."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Status | None = None) -> None:
        super().__init__(message)
        self.code = code
        self._info = ErrorInfo()
        for each in () if details is None else details.details:
            if each.Unpack(self._info):
                break

    @property
    def unknown_service(self) -> str | None:
        """The name that no service has, if that is why the call failed."""
        unknown = ErrorReason.Name(ErrorReason.ERROR_REASON_SERVICE_NOT_FOUND)
        is_unknown = self._info.reason == unknown.removeprefix("ERROR_REASON_")
        return self._info.metadata.get("service_id") if is_unknown else None


async def one(ask: Ask, method: str, request: Message, answer: type[AnswerT]) -> AnswerT:
    """Ask a method whose answer is one message."""
    found: AnswerT | None = None
    # To its end: a generator that is left suspended keeps what the call holds.
    async for message in ask(method, request, answer):
        found = message
    if found is not None:
        return found
    raise AskError(grpc.StatusCode.INTERNAL, f"{method} ended without an answer")
