"""Health of the server and its services, by the standard protocol ``grpc.health.v1``."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.domain.errors import NotReadyError
from server.rpc.context import Context

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """
    Holds whether each name is serving, and reports changes to watchers.

    gRPC's own servicer has no List, and lets a watcher that does not read keep the status from
    changing and the server from stopping.
    """

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._is_final = False

    def set(self, name: str, *, serving: bool) -> None:
        """Set the health of a service (empty name = the server); ignored after ``end``."""
        if not self._is_final:
            self._serving[name] = serving
            self._wake_watchers()

    def is_serving(self, name: str) -> bool:
        """Whether a service (empty name = the server) is serving; may run on any thread."""
        return self._serving.get(name, False)

    def end(self) -> None:
        """Set every service to NOT_SERVING for good."""
        self._is_final = True
        self._serving = dict.fromkeys(self._serving, False)
        self._wake_watchers()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Report the health of one service."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the server has no service of this name")
        return self._answer(request.service)

    async def List(
        self, request: health_pb2.HealthListRequest, context: Context
    ) -> health_pb2.HealthListResponse:
        """Report the health of the server and of every service."""
        return health_pb2.HealthListResponse(statuses={name: self._answer(name) for name in self._serving})

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """
        Report the health of one service now and after changes; of several at once only the last.

        Raises ``NotReadyError`` after ``end``.
        """
        reported = None
        while True:
            changed = self._changed
            answer = self._answer(request.service)
            if answer != reported:
                await context.write(answer)
                reported = answer
            if self._is_final:
                raise NotReadyError("the server is shutting down")
            await changed.wait()

    def _answer(self, name: str) -> health_pb2.HealthCheckResponse:
        serving = self._serving.get(name)
        status = _UNKNOWN if serving is None else _SERVING if serving else _NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)

    def _wake_watchers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
