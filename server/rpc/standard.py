"""gRPC's own services: health (``grpc.health.v1``), and reflection under both of its names."""

import asyncio
from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from server.domain.errors import NotReadyError
from server.rpc.context import Context
from server.rpc.methods import Registrar

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


LIVENESS = "liveness"
"""
The name that is always SERVING: the process answers, whatever its database does.

For probes that restart the process, which a database that is away must not cause.
"""


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """
    Holds whether each name is serving, and reports changes to watchers.

    gRPC's own servicer has no List, and lets a watcher that does not read keep the status from
    changing and the server from stopping.
    """

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {LIVENESS: True}
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
        """Set every service to NOT_SERVING for good; the process still lives."""
        self._is_final = True
        self._serving = dict.fromkeys(self._serving, False) | {LIVENESS: True}
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


SERVICE_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
# Clients look the messages of errors up by name, so they must be in the pool that is reflected.
REFLECTED_ERRORS = (error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR)
_V1_FILE = "grpc/reflection/v1/reflection.proto"


def register_reflection(service_names: Iterable[str], registrar: Registrar) -> None:
    """Register reflection of the named services, which lists itself too, under both names."""
    _describe_v1()
    reflection.enable_server_reflection((*service_names, *SERVICE_NAMES), registrar)
    v1, v1alpha = SERVICE_NAMES
    method = "ServerReflectionInfo"
    registrar.add_registered_method_handlers(v1, {method: registrar.handlers[f"/{v1alpha}/{method}"]})


def _describe_v1() -> None:
    """Add v1 to protobuf's pool, once: the description of v1alpha with the other package."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_V1_FILE)
    except KeyError:
        v1 = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(v1)
        v1.name, v1.package = _V1_FILE, "grpc.reflection.v1"
        for message in v1.message_type:
            for field in message.field:
                if field.type_name:
                    field.type_name = _in_v1(field.type_name)
        for method in v1.service[0].method:
            method.input_type, method.output_type = _in_v1(method.input_type), _in_v1(method.output_type)
        pool.AddSerializedFile(v1.SerializeToString())


def _in_v1(name: str) -> str:
    return name.replace(".v1alpha.", ".v1.")
