"""AccessService: who calls, and who wrote what."""

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1.access_service_pb2_grpc import AccessServiceServicer
from server.domain.caller import ROLES, Role, current_caller
from server.domain.dependencies import DISCOVERY_SOURCES
from server.rpc.context import Context
from server.wire.columns import DISCOVERY_SOURCE, EnumWords

_ROLE: EnumWords[Role, pb.Role.ValueType] = EnumWords(pb.Role, ROLES)


class AccessServicer(AccessServiceServicer):
    """Answers about callers."""

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Context) -> pb.WhoAmIResponse:
        """Describe the caller."""
        caller = current_caller()
        return pb.WhoAmIResponse(
            principal=caller.principal,
            roles=[_ROLE.number[role] for role in ROLES if role in caller.roles],
            discovery_sources=[
                DISCOVERY_SOURCE.number[source]
                for source in DISCOVERY_SOURCES
                if source in caller.discovery_sources
            ],
        )

    async def ListWrites(self, request: pb.ListWritesRequest, context: Context) -> pb.ListWritesResponse:
        """List the calls that wrote through the server: none is kept yet."""
        return pb.ListWritesResponse()
