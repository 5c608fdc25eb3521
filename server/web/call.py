"""The context of a call that came as an HTTP request."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import grpc

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
# Code, message, trailing metadata with the details.
Status: TypeAlias = tuple[grpc.StatusCode, str, Metadata]


class HttpCall:
    """
    The part of ``grpc.aio.ServicerContext`` that handlers use.

    ``seconds`` are those until the deadline, None = there is none. ``send_part`` sends a message of
    a stream.
    """

    def __init__(
        self,
        peer: str,
        metadata: Metadata,
        seconds: float | None,
        send_part: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self._peer = peer
        self._metadata = metadata
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._send_part = send_part
        self._callbacks: list[Callable[[Any], None]] = []
        self.status: Status = grpc.StatusCode.OK, "", ()
        """How the call failed; OK = it did not."""

    def peer(self) -> str:
        """Return the address of the caller's end of the connection, as gRPC writes it."""
        return self._peer

    def invocation_metadata(self) -> Metadata:
        """Return the headers of the request."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Any]:
        """Return what the connection says about the caller."""
        return {}

    def time_remaining(self) -> float | None:
        """Return the seconds until the call's deadline; None = it has none."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    async def send_initial_metadata(self, _: Any) -> None:
        """Do nothing: headers go out with the first part."""

    async def write(self, message: bytes) -> None:
        """Send a message of a stream when its reader has room for it."""
        if self._send_part is None:
            raise RuntimeError("only calls of methods with a stream of answers write parts")
        await self._send_part(message)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """End the call with a status."""
        self.status = code, details, trailing_metadata
        raise grpc.aio.AbortError(details)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set what ``code`` returns."""
        self.status = code, "", ()

    def set_details(self, details: str) -> None:
        """Do nothing: gRPC's code that sets details also aborts."""

    def code(self) -> grpc.StatusCode | None:
        """Return the status that was set."""
        return None if self.status[0] is grpc.StatusCode.OK else self.status[0]

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` when the answer was sent."""
        self._callbacks.append(callback)

    def end(self) -> None:
        """Run the done callbacks."""
        for callback in self._callbacks:
            callback(self)
