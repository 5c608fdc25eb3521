"""The context of a call of the native transport."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from pygrpc_native import STREAM_CLOSED, STREAM_FULL, NativeGrpcFront

from server.rpc.context import after_failed_write

if TYPE_CHECKING:
    from pygrpc_native import Metadata

# The transport has no event for a reader that has room again. A reader that keeps up has room
# within the first time, in which the loop spins: its timers are no finer. Later polls are rarer.
_SPIN_SECONDS, _LONGEST_POLL_SECONDS = 0.001, 0.02
_DETAILS = "grpc-status-details-bin"


class NativeCall:
    """
    The part of ``grpc.aio.ServicerContext`` that handlers use.

    ``details`` are the caller's metadata, its address, and the seconds that were left until the
    deadline, if there is one, when the call was ``received`` (``time.monotonic``).
    """

    __slots__ = ("_callbacks", "_code", "_front", "_metadata", "_peer", "_received", "_seconds", "number")

    def __init__(
        self,
        front: NativeGrpcFront,
        number: int,
        details: "tuple[Metadata, str, float | None]",
        received: float,
    ) -> None:
        self._front = front
        self.number = number
        self._metadata, self._peer, self._seconds = details
        self._received = received
        self._code: grpc.StatusCode | None = None
        self._callbacks: list[Callable[[Any], None]] | None = None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._seconds is not None and self.time_remaining() == 0

    def peer(self) -> str:
        """Return the address of the caller's end of the connection."""
        return self._peer

    def invocation_metadata(self) -> "Metadata":
        """Return the metadata that the caller sent."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Any]:
        """Return nothing: the transport has no TLS."""
        return {}

    def time_remaining(self) -> float | None:
        """Return the seconds until the call's deadline; None = it has none."""
        if self._seconds is None:
            return None
        return max(0.0, self._seconds - (time.monotonic() - self._received))

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send the metadata of a stream's answer."""
        self._front.stream_send_initial_metadata(self.number, list(initial_metadata))

    async def write(self, message: bytes) -> None:
        """Send a message of a stream when its reader has room for it."""
        tried, wait = time.monotonic(), 0.0
        while (sent := self._front.stream_try_send(self.number, message)) == STREAM_FULL:
            await asyncio.sleep(wait)
            if time.monotonic() - tried > _SPIN_SECONDS:
                wait = min(max(2 * wait, _SPIN_SECONDS), _LONGEST_POLL_SECONDS)
        if sent == STREAM_CLOSED:
            await after_failed_write()
            raise grpc.aio.InternalError("the stream is closed, and the call was not cancelled")

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: "Metadata" = (),
    ) -> NoReturn:
        """End the call with a status."""
        self.fail(code, details, trailing_metadata)
        raise grpc.aio.AbortError(details)

    def fail(self, code: grpc.StatusCode, details: str, trailing_metadata: "Metadata" = ()) -> None:
        """End the call with a status, without an error."""
        self._code = code
        sent = [pair for pair in trailing_metadata if not _is_reserved(pair[0])]
        self._front.fail(self.number, code.value[0], details, sent)

    def succeed(self, answer: bytes) -> None:
        """End a unary call with its answer."""
        self._front.respond(self.number, answer)

    def end_stream(self) -> None:
        """End a stream."""
        self._front.stream_end(self.number)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set what ``code`` returns."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Do nothing: gRPC's code that sets details also aborts."""

    def code(self) -> grpc.StatusCode | None:
        """Return the status that was set."""
        return self._code

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` when the transport has the answer; it does not report sending."""
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)

    def end(self) -> None:
        """Run the done callbacks."""
        for callback in self._callbacks or ():
            callback(self)


def _is_reserved(key: str) -> bool:
    """Whether the transport refuses to send this key; RetryInfo repeats what pushback says."""
    return key.startswith("grpc-") and key != _DETAILS
