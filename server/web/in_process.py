"""Calls of methods from inside the server, for a request that came by HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from server.rpc.methods import Method
from server.web.call import HttpCall, Metadata, Sender
from server.web.errors import DETAILS
from server.web.messages import MessageTypes, types_of

_CONTRACT = "/depgraph.v1."


class CallFailedError(Exception):
    """A call has failed: its code, its message, and the details of ``google.rpc.Status``."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Metadata = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        encoded = next((value for key, value in details if key == DETAILS), b"")
        assert isinstance(encoded, bytes)  # noqa: S101 - as grpc_status writes it
        self.details = tuple(status_pb2.Status.FromString(encoded).details)


class Served(NamedTuple):
    """A method of the contract, and its messages."""

    method: Method
    types: MessageTypes


class Calls:
    """
    The methods of the contract, by full name: ``/depgraph.v1.GraphService/Traverse``.

    ``HttpTransport.serve`` fills it; until then there are none. A call passes identity, roles,
    limits, metrics and log as one that came by the network does.
    """

    def __init__(self) -> None:
        self.served: dict[str, Served] = {}

    def serve(self, methods: Sequence[Method]) -> None:
        """Set the methods; those of other contracts are left out."""
        for method in methods:
            if method.name.startswith(_CONTRACT):
                self.served[method.name] = Served(method, types_of(method.name))

    async def ask(
        self, name: str, request: Message, sender: Sender, *, seconds: float | None = None
    ) -> Message:
        """
        Call a method with one answer for whoever sent a request; raises ``CallFailedError``.

        ``seconds`` are those that it may take, None = as long as it likes.
        """
        method, types = self.served[name]
        if method.handler.response_streaming:
            raise ValueError(f"{name} answers with a stream")
        call = HttpCall(sender, seconds)
        try:
            answer = await method.answer(request.SerializeToString(), call)
        except grpc.aio.AbortError:
            raise CallFailedError(*call.status) from None
        finally:
            call.end()
        return types.answer.FromString(answer or b"")

    async def parts(self, name: str, request: Message, sender: Sender) -> AsyncIterator[Message]:
        """
        Call a method that answers with a stream, and yield its messages; raises as ``ask`` does.

        Closing the iterator cancels the call.
        """
        method, types = self.served[name]
        ready: asyncio.Queue[bytes] = asyncio.Queue(1)
        call = HttpCall(sender, send_part=ready.put)
        answering = asyncio.ensure_future(method.answer(request.SerializeToString(), call))
        answering.add_done_callback(lambda _: call.end())
        try:
            while (part := await _next(ready, answering)) is not None:
                yield types.answer.FromString(part)
            await answering
        except grpc.aio.AbortError:
            raise CallFailedError(*call.status) from None
        finally:
            answering.cancel()


async def _next(ready: "asyncio.Queue[bytes]", answering: "asyncio.Future[bytes | None]") -> bytes | None:
    """Wait for a part, or for the end of the call: None."""
    if not ready.empty():
        return ready.get_nowait()
    waiting = asyncio.ensure_future(ready.get())
    try:
        await asyncio.wait((waiting, answering), return_when=asyncio.FIRST_COMPLETED)
        # A part that came together with the end.
        return waiting.result() if waiting.done() else None if ready.empty() else ready.get_nowait()
    finally:
        waiting.cancel()
