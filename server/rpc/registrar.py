"""Where generated code brings handlers to."""

from collections.abc import Mapping

import grpc

from server.rpc.methods import Handler


class Registrar:
    """Stands in for a server before generated code, and keeps the handlers that it is given, by full name of the method."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Do nothing: what generated code gives here it gives by name, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Keep the handlers of a service."""
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


# Reflection registers with nothing that is not a server of ``grpc.aio``.
grpc.aio.Server.register(Registrar)
