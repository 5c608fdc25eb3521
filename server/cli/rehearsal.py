"""What a pull would change, printed: ``depgraph sync --dry-run`` writes nothing."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import grpc

from depgraph import AsyncClient
from depgraph.v1.catalog_service_pb2 import ListAliasesRequest
from depgraph.v1.dependency_service_pb2 import (
    CalleePolicy,
    IngestGraphRequest,
    ListDependenciesRequest,
)
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest
from server.cli.asked import AskedServer
from server.cli.connection import explain
from server.cli.render.text import HANGING, counted, print_lines, printable, visible
from server.formats.naming import NameRules
from server.formats.reading import Reading
from server.sources.pulls import pull
from server.sources.schedule import discovery_source
from server.sources.source import PullError, Source

PAGE_SIZE = 1_000
_REFUSED = frozenset({grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED})


async def rehearse(source: Source, client: AsyncClient, server: AskedServer) -> bool:
    """Pull a source and print what that would change; returns whether it was possible to say."""
    names = _RecordedNames(source.names.template, source.names.rewrites)
    try:
        reading = await pull(replace(source, names=names))
    except PullError as error:
        print_lines([f"{printable(source.name)}: failed: {printable(str(error))}"], err=True, hanging=HANGING)
        return False
    print_lines(_read_lines(source, reading, names.seen))
    try:
        known = await _Known.of(source, client)
    except grpc.RpcError as error:
        may_not = "you may not read, so " if error.code() in _REFUSED else ""
        why = await asyncio.to_thread(explain, error, server)
        print_lines([f"  {may_not}what would be new is not known: {why}"], err=True, hanging=HANGING)
        return error.code() in _REFUSED
    print_lines(_new_lines(reading.report, known))
    return True


@dataclass(frozen=True, slots=True)
class _RecordedNames(NameRules):
    """Rules that remember what each workload was called before, and is called now."""

    seen: dict[str, str] = field(default_factory=dict)

    def name_of(self, attributes: Mapping[str, str]) -> str:
        """See ``NameRules.name_of``."""
        # Not super(), which a dataclass with slots does not have.
        name = NameRules.name_of(self, attributes)
        before = (attributes.get(each, "") for each in ("namespace", "service"))
        self.seen["/".join(filter(None, before))] = name
        return name


@dataclass(frozen=True, slots=True)
class _Known:
    """What the server has: services with their aliases, and the pairs of one discovery source."""

    services: frozenset[str]
    aliases: Mapping[str, str]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    async def of(cls, source: Source, client: AsyncClient) -> "_Known":
        """Ask the server; raises ``grpc.RpcError``."""
        names: set[str] = set()
        async for row in client.graph.GetAdjacencyList(GetAdjacencyListRequest(include_stale=True)):
            names.add(row.service_id)
        aliases: dict[str, str] = {}
        listing = ListAliasesRequest(page_size=PAGE_SIZE)
        while True:
            page = await client.catalog.ListAliases(listing)
            aliases |= {each.alias: each.service_id for each in page.aliases}
            if not (token := page.next_page_token):
                break
            listing.page_token = token
        return cls(frozenset(names), aliases, frozenset(await _pairs(source, client)))

    def name(self, name: str) -> str:
        """Return the name of the service that a name or alias stands for."""
        return self.aliases.get(name, name)


async def _pairs(source: Source, client: AsyncClient) -> set[tuple[str, str]]:
    pairs: set[tuple[str, str]] = set()
    request = ListDependenciesRequest(
        page_size=PAGE_SIZE, discovery_source=discovery_source(source), include_stale=True
    )
    while True:
        page = await client.dependencies.ListDependencies(request)
        pairs |= {(each.source_service_id, each.target_service_id) for each in page.dependencies}
        if not (token := page.next_page_token):
            return pairs
        request.page_token = token


def _read_lines(source: Source, reading: Reading, names: Mapping[str, str]) -> Iterator[str]:
    yield f"{printable(source.name)}: {counted(reading.element_count, 'element')}"
    yield from _section(
        "names", (f"{visible(old)} is {visible(new) or 'nothing'}" for old, new in names.items())
    )
    yield from _section("not used", (f"{each.count:,}: {printable(each.reason)}" for each in reading.skipped))


def _new_lines(report: IngestGraphRequest, known: _Known) -> Iterator[str]:
    ends = {(known.name(edge.source_service_id), known.name(edge.target_service_id)) for edge in report.edges}
    named = {known.name(node.service_id) for node in report.nodes}.union(*ends)
    services = sorted(named - known.services)
    # By their aliases, both ends of a call may be one service: such a call is not written.
    pairs = sorted(pair for pair in ends - known.pairs if pair[0] != pair[1])
    yield from _section("new services", map(visible, services))
    yield from _section("new dependencies", (f"{visible(one)} → {visible(other)}" for one, other in pairs))
    yield from _section(
        "timeouts and retries, for the dependencies that exist", map(_policy, report.policies)
    )
    if not services and not pairs:
        yield "  nothing new"


def _policy(policy: CalleePolicy) -> str:
    caller = f"{visible(policy.source_service_id)} → " if policy.source_service_id else ""
    timeout = f"timeout {policy.timeout_ms:,} ms" if policy.HasField("timeout_ms") else ""
    retries = (
        counted(policy.retry_config.max_retries, "retry", "retries")
        if policy.HasField("retry_config")
        else ""
    )
    return f"{caller}{visible(policy.target_service_id)}: {', '.join(filter(None, (timeout, retries)))}"


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    listed = sorted(lines)
    if listed:
        yield f"  {title}"
        yield from (f"    {line}" for line in listed)
