"""Names that resemble one which no service has."""

from contextlib import suppress

from depgraph.v1.graph_service_pb2 import SearchServicesRequest, SearchServicesResponse
from server.domain.services import NAME_MAX_LENGTH
from server.web.mcp.asking import Ask, AskError, one

_MOST = 3


async def similar_names(ask: Ask, name: str) -> list[str]:
    """Find up to three services whose names hold the name, or else resemble it."""
    request = SearchServicesRequest(query=name[:NAME_MAX_LENGTH], max_matches=_MOST)
    found = SearchServicesResponse()
    with suppress(AskError):  # a hint is not worth a second failure
        found = await one(ask, "/depgraph.v1.GraphService/SearchServices", request, SearchServicesResponse)
    return [match.service.service_id for match in found.matches]
