"""The connection of a command to a running server, and what failed calls mean in one line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Protocol, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from depgraph import AsyncClient, Client
from depgraph.calls import channel_options
from depgraph.security import Security, secured
from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import (
    BatchTraverseRequest,
    SearchServicesRequest,
    StreamTraverseRequest,
    TraverseRequest,
    TraverseResponse,
)
from server.cli.asked import AskedServer
from server.cli.failures import CommandError, InputError, RefusedError
from server.cli.past import consistency
from server.cli.render.text import counted, visible
from server.cli.times import written
from server.domain.services import form_hint

SUGGESTION_SECONDS = 2.0
MAX_VIOLATIONS = 5
MAX_SUGGESTIONS = 3
WALKS_PER_BATCH = 500

_OPTIONS = {
    r"\bconsistency\.as_of\b": "--as-of",
    r"\bfrom\.(time|revision)\b": "FROM",
    r"\bto\.(time|revision)\b": "TO",
    r"(?<![\w.])(since|until)(?=:|$)": r"--\1",
}
"""What people know some fields of requests by."""

_KINDS: Mapping[grpc.StatusCode, type[CommandError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InputError,
    grpc.StatusCode.NOT_FOUND: InputError,
    grpc.StatusCode.UNAUTHENTICATED: RefusedError,
    grpc.StatusCode.PERMISSION_DENIED: RefusedError,
}


class _PageRequest(Protocol):
    page_token: str


class _Page(Protocol):
    next_page_token: str


RequestT = TypeVar("RequestT", bound=_PageRequest)
PageT = TypeVar("PageT", bound=_Page)


@contextmanager
def connected(server: AskedServer, *, attempts: int = 1, as_of: datetime | None = None) -> Iterator[Client]:
    """
    Connect, without waiting for a server to appear; a failed call becomes a ``CommandError``.

    ``attempts`` as in ``Client``. When the server does not know a service, the error suggests
    similar names, those of the time that the command asks about.
    """
    with opened(server, timeout=server.timeout, attempts=attempts) as client:
        try:
            yield client
        except grpc.RpcError as error:
            unknown = _unknown_service(error)
            if unknown is not None:
                raise InputError(_suggestion(client, unknown, as_of)) from error
            raise failure(error, server) from error


def opened(server: AskedServer, *, timeout: float | None, attempts: int = 1) -> Client:
    """Make the client; a certificate or token that it can't use is an ``InputError``."""
    with _named_by_options():
        return Client(
            server.address, timeout=timeout, wait_for_ready=False, attempts=attempts, **server.security
        )


def opened_async(server: AskedServer, *, attempts: int) -> AsyncClient:
    """Make the client for asyncio; errors as for ``opened``."""
    with _named_by_options():
        return AsyncClient(
            server.address,
            timeout=server.timeout,
            wait_for_ready=False,
            attempts=attempts,
            **server.security,
        )


class OwnChannel:
    """
    A channel to a server for asyncio, on a connection of its own.

    Channels of a process that ask the same server share a connection, and the pauses of up to ten
    seconds that gRPC makes after it could not connect. ``metadata`` has the token, read anew. A
    certificate or token that can't be used is an ``InputError``.
    """

    def __init__(self, server: AskedServer) -> None:
        with _named_by_options():
            credentials, token, security = secured(server.address, None, server.security)
            self.metadata = [] if token is None else [("authorization", f"Bearer {token()}")]
        options = [*channel_options(attempts=1), *security, ("grpc.use_local_subchannel_pool", 1)]
        self.channel = (
            grpc.aio.insecure_channel(server.address, options)
            if credentials is None
            else grpc.aio.secure_channel(server.address, credentials, options)
        )


@contextmanager
def _named_by_options() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        # The client names its arguments; people gave options.
        named = re.sub(r"`(\w+)`", lambda found: f"--{found[1].replace('_', '-')}", str(error))
        raise InputError(named) from None


def pages(call: Callable[[RequestT], PageT], request: RequestT) -> Iterator[PageT]:
    """Yield all pages of a list method; ``request`` is changed to ask for each."""
    while True:
        page = call(request)
        yield page
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def walk(client: Client, request: TraverseRequest, timeout: float) -> TraverseResponse:
    """Join the parts of a streamed walk."""
    whole = TraverseResponse()
    same = StreamTraverseRequest.FromString(request.SerializeToString())
    for part in client.graph.StreamTraverse(same, timeout=timeout):
        # The contract: the parts' fields, appended in order, are those of the unary answer.
        whole.MergeFromString(part.SerializeToString())
    return whole


def walk_all(
    client: Client, requests: Sequence[TraverseRequest], timeout: float, *, skip_unknown: bool = False
) -> list[TraverseResponse]:
    """
    Answer many requests, in their order. What a batch has no room for is streamed.

    ``skip_unknown`` gives an empty answer for a service that the server does not know.
    """
    if len(requests) == 1 and not skip_unknown:
        return [walk(client, requests[0], timeout)]
    found = []
    for start in range(0, len(requests), WALKS_PER_BATCH):
        batch = requests[start : start + WALKS_PER_BATCH]
        answer = client.graph.BatchTraverse(BatchTraverseRequest(requests=batch), timeout=timeout)
        for request, result in zip(batch, answer.responses, strict=True):
            is_skipped = skip_unknown and result.error.code == code_pb2.NOT_FOUND
            is_whole = is_skipped or result.HasField("traversal")
            found.append(result.traversal if is_whole else walk(client, request, timeout))
    return found


def failure(error: grpc.RpcError, server: AskedServer, addition: str = "") -> CommandError:
    """Return what a command raises for a failed call; ``addition`` goes on after the cause."""
    kind = _KINDS.get(error.code(), CommandError)
    said = explain(error, server)
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        for field, option in _OPTIONS.items():
            said = re.sub(field, option, said)
    return kind(said + addition)


def explain(error: grpc.RpcError, server: AskedServer) -> str:
    """Say in one line why a call failed: what the server said, with every bad field."""
    code = error.code()
    message = error.details() or code.name
    details = _details(error)
    if not details and (unanswered := _unanswered(code, message, server)):
        return unanswered
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"{server.address} does not know who you are {_identity_hint(server.security, message)}"
    if code is grpc.StatusCode.PERMISSION_DENIED:
        # A depgraph server sends details; a proxy before it does not, and knows no roles.
        hint = "'depgraph whoami' shows what you may do" if details else "a proxy before the server says so"
        return f"{message}: {hint}"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return (
            f"{server.address} does not know this call: it answers probes only (--health-listen), "
            f"has another version, or is not a depgraph server ({message})"
        )
    return _with_violations(message, details)


def _unanswered(code: grpc.StatusCode, message: str, server: AskedServer) -> str | None:
    """Say why there was no answer, if the code is one that gRPC itself gives then."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{server.address} did not answer in time: --timeout sets how many seconds to wait"
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    from server.cli.diagnosis import connection_problem

    if problem := connection_problem(server):
        return f"no connection to {server.address}: {problem}"
    return (
        f"no answer from {server.address} ({last_cause(message)}): "
        f"start a server with 'depgraph serve', or name another with --address"
    )


def _identity_hint(security: Security, message: str) -> str:
    """Give the cause, and the option that gives an identity or gave the one that was refused."""
    for name in ("token_file", "token", "client_cert"):
        if value := security.get(name):
            shown = "(DEPGRAPH_TOKEN)" if name == "token" else str(value)
            return f"({message}): see whether --{name.replace('_', '-')} {shown} is still good"
    # What follows in the message is for programs: the header that they should send.
    cause = message.partition(": ")[0]
    return f"({cause}): give a token with --token-file, or a certificate with --client-cert and --client-key"


def last_cause(message: str) -> str:
    """Pick "Connection refused" out of what gRPC core says of all the addresses that it tried."""
    cause = message.rpartition(": ")[2].strip(" []")
    if cause.count("(") != cause.count(")"):
        cause = cause.strip("()")
    return cause or message


def _details(error: grpc.RpcError) -> list[any_pb2.Any] | None:
    """Return the details of the status; None if a depgraph server did not send it."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, NotImplementedError):
        return None
    return None if status is None else list(status.details)


def _with_violations(message: str, details: list[any_pb2.Any] | None) -> str:
    bad = BadRequest()
    violations = next((bad.field_violations for each in details or () if each.Unpack(bad)), ())
    unsaid = [f"{bad.field}: {bad.description}" for bad in violations if bad.description not in message]
    if not unsaid:
        return message
    shown = "; ".join(unsaid[:MAX_VIOLATIONS])
    rest = len(unsaid) - MAX_VIOLATIONS
    return f"{message}: {shown}" + (f"; and {counted(rest, 'more field')}" if rest > 0 else "")


def _unknown_service(error: grpc.RpcError) -> str | None:
    """Return the name that no service has, if that is why the call failed; the first of several."""
    if error.code() is not grpc.StatusCode.NOT_FOUND:
        return None
    info = ErrorInfo()
    names = (info.metadata.get("service_id") for each in _details(error) or () if each.Unpack(info))
    return next(names, None)


def _suggestion(client: Client, name: str, as_of: datetime | None) -> str:
    then = f" as of {written(as_of)}" if as_of else ""
    if _is_in_database(client, name):
        if as_of:
            return f"no service named '{visible(name)}'{then}: there is one now"
        # The feed is behind, or misses writes.
        return f"'{visible(name)}' is in the database, but not in the graph: see 'depgraph status'"
    shown = " or ".join(f"'{visible(each)}'" for each in _similar_names(client, name, as_of))
    hint = f": did you mean {shown}?" if shown else ""
    return f"no service named '{visible(name)}'{then}{form_hint(name)}{hint}"


def _is_in_database(client: Client, name: str) -> bool:
    with suppress(grpc.RpcError):  # a hint is not worth a second failure
        client.catalog.GetService(GetServiceRequest(service_id=name), timeout=SUGGESTION_SECONDS)
        return True
    return False


def _similar_names(client: Client, name: str, as_of: datetime | None) -> list[str]:
    """Find up to three names that hold or resemble the name; none if the server can't search."""
    request = SearchServicesRequest(query=name, max_matches=MAX_SUGGESTIONS, consistency=consistency(as_of))
    with suppress(grpc.RpcError):
        found = client.graph.SearchServices(request, timeout=SUGGESTION_SECONDS).matches
        return [each.service.service_id for each in found]
    return []
