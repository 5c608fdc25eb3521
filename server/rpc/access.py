"""AccessService: who calls, and who wrote what."""

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1.access_service_pb2_grpc import AccessServiceServicer
from server.config import Limits
from server.domain.caller import ROLES, Role, current_caller
from server.domain.dependencies import DISCOVERY_SOURCES
from server.domain.ports import WriteStore
from server.domain.writes import Write, WriteKey
from server.rpc.answers import timestamp
from server.rpc.context import Context
from server.rpc.paging import WRITES, PageTokens, fitted_page, page_size
from server.rpc.validate import Check
from server.wire.columns import DISCOVERY_SOURCE, EnumWords

_ROLE: EnumWords[Role, pb.Role.ValueType] = EnumWords(pb.Role, ROLES)


class AccessServicer(AccessServiceServicer):
    """Answers about callers, and from the account of writes."""

    def __init__(self, store: WriteStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

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
        """List the calls that wrote, newest first."""
        check = Check()
        tokens = PageTokens("writes", None, WRITES)
        size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
        check.done()
        page = await self._store.page(size, after)
        writes, following = fitted_page(
            page.writes,
            page.next,
            write_message,
            lambda row: WriteKey(row.written_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListWritesResponse(writes=writes, next_page_token=tokens.write(following))


def write_message(row: Write) -> pb.Write:
    """Write an entry of the account."""
    return pb.Write(
        principal=row.principal,
        write_time=timestamp(row.written_at),
        method=row.method,
        counts=pb.WriteCounts(**row.counts._asdict()),
        revision=row.revision,
    )
