"""What hostile callers do to a server: requests made to be dear, answers left unread, requests left unfinished, too many of all."""

import asyncio
import gzip
import resource
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc

from bench.calls import TRAVERSE, question
from bench.raw_http2 import LARGEST_WINDOW, Answer, Connection, call_headers, connect, message
from depgraph.v1 import catalog_service_pb2 as catalog_pb

KIB, MIB = 1024, 1024 * 1024
PATIENCE_SECONDS, HELD_SECONDS, LONG_SECONDS = 20, 3, 8
GRAPH = "/depgraph.v1.GraphService"
CATALOG = "/depgraph.v1.CatalogService"
DEPENDENCIES = "/depgraph.v1.DependencyService"
ALERTS = "/depgraph.v1.AlertService"
ANALYSES = "/depgraph.v1.AnalysisService"

Outcome = Counter[str]


@dataclass(frozen=True)
class Attack:
    """``do`` is given the server's address, and returns how often which answer came; ``lasts`` = what remains of it is slow to go."""

    name: str
    do: Callable[[str], Coroutine[Any, Any, Outcome]]
    lasts: bool = False


@dataclass(frozen=True)
class Request:
    """A method and the bytes of a message for it; compressed as a client's gzip would."""

    method: str
    body: Callable[[], bytes]
    compressed: bool = True

    @cache  # noqa: B019 - there are few, and they live as long as the process
    def sent(self) -> tuple[bytes, bytes]:
        """Header block, and message as it goes over the wire."""
        body = gzip.compress(self.body(), 6) if self.compressed else self.body()
        return call_headers(self.method, compressed=self.compressed), message(
            body, compressed=self.compressed
        )


def asked(name: str, request: Request, *, at_once: int = 1, in_turn: int = 1) -> Attack:
    """So many calls at once on one connection, and that so often."""

    async def do(address: str) -> Outcome:
        headers, body = request.sent()
        connection, outcome = await connect(address), Outcome()
        for _ in range(in_turn):
            outcome += await _answers([connection.call(headers, body) for _ in range(at_once)])
        connection.close()
        return outcome

    return Attack(f"{name}: {request.method.rpartition('/')[2]}", do)


def unread(
    name: str,
    request: Request,
    *,
    connections: int,
    calls: int,
    polite: bool = False,
    held: float = HELD_SECONDS,
) -> Attack:
    """Calls on connections whose client grants the answers no byte; ``polite`` = only as many as the server's settings allow."""

    async def do(address: str) -> Outcome:
        headers, body = request.sent()
        opened = await _connections(address, connections, window=0, polite=polite)
        pending: list[asyncio.Future[Answer]] = []
        for connection in opened:
            pending += [connection.call(headers, body) for _ in range(calls)]
            await asyncio.sleep(0)
        return await _held(opened, pending, held)

    return Attack(name, do, lasts=True)


def unfinished(
    name: str, method: str, *, connections: int, calls: int, declared: int, sent: int | None = None
) -> Attack:
    """Messages of which only ``sent`` bytes of those declared arrive: all but the last, unless said otherwise."""

    async def do(address: str) -> Outcome:
        part = bytes(declared - 1 if sent is None else sent)
        headers, body = call_headers(method), message(part, length=declared)
        opened = await _connections(address, connections)
        pending = [connection.call(headers, body, ends=False) for connection in opened for _ in range(calls)]
        return await _held(opened, pending, HELD_SECONDS)

    return Attack(name, do, lasts=True)


def idle(name: str, connections: int) -> Attack:
    """Connections on which nothing is asked."""

    async def do(address: str) -> Outcome:
        return await _held(await _connections(address, connections), [], HELD_SECONDS)

    return Attack(name, do, lasts=True)


def crowd(name: str, request: Request, calls: int) -> Attack:
    """So many calls at once of one ordinary client."""

    async def do(address: str) -> Outcome:
        async with grpc.aio.insecure_channel(address) as channel:
            call: Any = channel.unary_unary(request.method)
            body = request.body()

            async def ask() -> Answer:
                try:
                    await call(body, timeout=PATIENCE_SECONDS)
                except grpc.aio.AioRpcError as error:
                    return Answer(error.code().name, error.details() or "")
                return Answer("OK")

            return _tally(await asyncio.gather(*(ask() for _ in range(calls))))

    return Attack(name, do, lasts=True)


async def _connections(
    address: str, number: int, *, window: int = LARGEST_WINDOW, polite: bool = True
) -> list[Connection]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + KIB:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, number + KIB), hard))
    opened: list[Connection] = []
    for _ in range(number):
        try:
            opened.append(
                await asyncio.wait_for(connect(address, window=window, polite=polite), HELD_SECONDS)
            )
        except (OSError, TimeoutError):
            break
    return opened


async def _held(
    opened: Sequence[Connection], pending: Sequence["asyncio.Future[Answer]"], held: float
) -> Outcome:
    """Hold the connections for a while, then drop them; what is answered by then counts."""
    await asyncio.sleep(held)
    done = [call.result() if call.done() else Answer("UNANSWERED") for call in pending]
    alive = sum(not connection.is_lost for connection in opened)
    for connection in opened:
        connection.close()
    await asyncio.sleep(0)
    return _tally(done) + Outcome({"connections held to the end": alive})


async def _answers(pending: Sequence["asyncio.Future[Answer]"]) -> Outcome:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*pending), PATIENCE_SECONDS)
    return _tally(
        [call.result() if call.done() and not call.cancelled() else Answer("UNANSWERED") for call in pending]
    )


def _tally(answers: Sequence[Answer]) -> Outcome:
    return Outcome(f"{answer.code} {answer.message[:60]}".strip() for answer in answers)


def run_attack(address: str, name: str) -> Outcome:
    return asyncio.run(ATTACKS[name].do(address))


# What is sent


def _tagged(field: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _empties(field: int, number: int) -> Callable[[], bytes]:
    """So many empty elements of a repeated field."""
    return lambda: bytes([field << 3 | 2, 0]) * number


def _filtered(size: int) -> bytes:
    """A TraverseRequest of that many bytes, whose filter names the same mode over and over."""
    head = _tagged(1, b"s7") + b"\x10\x02"
    modes = size - len(head) - 8
    return head + _tagged(5, _tagged(1, b"\x01" * modes))


def _metadata(size: int) -> bytes:
    """A Struct of about that many bytes: one list, full of empty lists."""
    values = b"\x0a\x02\x32\x00" * (size // 4)
    return _tagged(1, _tagged(1, b"a") + _tagged(2, _tagged(6, values)))


def _service(size: int) -> bytes:
    """A request of ``size`` bytes whose field 1 is service s1 with metadata; an unknown field fills it up."""
    return _filled(_tagged(1, _tagged(2, b"s1") + _tagged(3, _metadata(size - 64))), size)


def _filled(body: bytes, size: int) -> bytes:
    rest = size - len(body)
    for prefix in range(2, 8):
        filling = bytes([15 << 3 | 2]) + _varint(rest - prefix)
        if len(filling) == prefix:
            return body + filling + bytes(rest - prefix)
    raise ValueError(f"{rest} bytes can't be filled")


def _masked(paths: int) -> bytes:
    return _tagged(1, _tagged(2, b"s1")) + _tagged(2, b"\x0a\x00" * paths)


def _known_services(number: int, size: int) -> bytes:
    """As many services that are there already, with metadata that makes a request of about that size."""
    each = size // number - 40
    services = [
        catalog_pb.BatchUpsertServicesRequest(
            services=[{"service_id": f"s{index}", "metadata": {"note": "x" * each}}]  # type: ignore[list-item]
        ).SerializeToString()
        for index in range(number)
    ]
    return _filled(b"".join(services), size)


def _full(services: int) -> bytes:
    asked_for = question("s7", "FULL", hops=6)
    asked_for.max_services = services
    return asked_for.SerializeToString()


LARGE_ANSWER = Request(TRAVERSE, lambda: _full(4_600), compressed=False)
SMALL_ANSWER = Request(TRAVERSE, lambda: question("s7", "IDS").SerializeToString(), compressed=False)
MIDDLING_ANSWER = Request(TRAVERSE, lambda: question("s7", "FULL").SerializeToString(), compressed=False)
_BOMB = 7_000_000
_UPSERT = f"{CATALOG}/BatchUpsertServices"

BOMBS = (
    asked("7 M empty services, 8 in turn", Request(_UPSERT, _empties(1, _BOMB)), in_turn=8),
    asked("7 M empty services, 8 at once", Request(_UPSERT, _empties(1, _BOMB)), at_once=8),
    asked("7 M added, 8 at once", Request(f"{ANALYSES}/CheckChange", _empties(1, _BOMB)), at_once=8),
    asked("7 M removed, 8 at once", Request(f"{ANALYSES}/CheckChange", _empties(2, _BOMB)), at_once=8),
    asked("7 M requests", Request(f"{GRAPH}/BatchTraverse", _empties(1, _BOMB)), at_once=2),
    asked("7 M nodes", Request(f"{DEPENDENCIES}/IngestGraph", _empties(3, _BOMB)), at_once=2),
    asked("7 M edges", Request(f"{DEPENDENCIES}/IngestGraph", _empties(4, _BOMB)), at_once=2),
    asked(
        "7 M dependencies",
        Request(f"{DEPENDENCIES}/BatchUpsertDependencies", _empties(1, _BOMB)),
        at_once=2,
    ),
    asked("7 M names", Request(f"{ALERTS}/CreateAlert", _empties(1, _BOMB)), at_once=2),
    asked("7 M names", Request(f"{ALERTS}/CheckCycle", _empties(1, _BOMB)), at_once=2),
    asked(
        "8 M modes in one filter",
        Request(f"{GRAPH}/BatchTraverse", lambda: _tagged(1, _filtered(8_000_000))),
        at_once=2,
    ),
    asked("8 M modes", Request(TRAVERSE, lambda: _filtered(8_000_000)), at_once=2),
    asked("8 M modes", Request(f"{GRAPH}/StreamTraverse", lambda: _filtered(8_000_000)), at_once=2),
    asked("8 M modes", Request(f"{ANALYSES}/FindPaths", lambda: _tagged(6, _tagged(1, b"\x01" * 8_000_000)))),
    asked("metadata of 14 MiB", Request(f"{CATALOG}/CreateService", lambda: _service(14 * MIB))),
    asked("1 M paths", Request(f"{CATALOG}/UpdateService", lambda: _masked(1_000_000)), at_once=2),
    asked("7 M paths", Request(f"{CATALOG}/UpdateService", lambda: _masked(_BOMB)), at_once=2),
    asked("64 MB of zeros", Request(_UPSERT, lambda: bytes(64_000_000))),
    asked("655 MB of zeros", Request(_UPSERT, lambda: bytes(655_000_000))),
    asked("655 MB of zeros, 8 at once", Request(_UPSERT, lambda: bytes(655_000_000)), at_once=8),
    asked(
        "15 MB unknown", Request("/grpc.health.v1.Health/Check", lambda: _filled(b"", 15_000_000)), at_once=8
    ),
    asked(
        "15 MB unknown", Request("/depgraph.v1.GraphService/Nothing", lambda: bytes(15_000_000)), at_once=8
    ),
)
SIDES = (
    asked("10,000 empty", Request(_UPSERT, _empties(1, 10_000)), at_once=8),
    asked("10,001 empty", Request(_UPSERT, _empties(1, 10_001)), at_once=8),
    asked("10,000 empty added", Request(f"{ANALYSES}/CheckChange", _empties(1, 10_000)), at_once=8),
    asked("10,001 empty added", Request(f"{ANALYSES}/CheckChange", _empties(1, 10_001)), at_once=8),
    asked(
        "filter of 64 KiB", Request(TRAVERSE, lambda: _filled(_filtered(64 * KIB - 9), 64 * KIB)), at_once=8
    ),
    asked(
        "filter of 64 KiB + 1",
        Request(TRAVERSE, lambda: _filled(_filtered(64 * KIB - 9), 64 * KIB + 1)),
        at_once=8,
    ),
    asked("filter of 4 MiB", Request(f"{GRAPH}/BatchTraverse", lambda: _batch(4 * MIB)), at_once=2),
    asked("filter of 4 MiB + 1", Request(f"{GRAPH}/BatchTraverse", lambda: _batch(4 * MIB + 1)), at_once=2),
    asked(
        "metadata of 2 MiB + 1", Request(f"{CATALOG}/UpdateService", lambda: _service(2 * MIB + 1)), at_once=8
    ),
    # From here on they write.
    asked("metadata of 2 MiB", Request(f"{CATALOG}/CreateService", lambda: _service(2 * MIB)), at_once=8),
    asked("metadata of 2 MiB", Request(_UPSERT, lambda: _service(2 * MIB)), at_once=8),
    asked(
        "10,000 that are valid, 2 MiB", Request(_UPSERT, lambda: _known_services(10_000, 2 * MIB)), at_once=4
    ),
    asked("metadata of 2 MiB + 1", Request(_UPSERT, lambda: _service(2 * MIB + 1)), at_once=8),
    asked("10,000 that are valid, 2 MiB + 1", Request(_UPSERT, lambda: _known_services(10_000, 2 * MIB + 1))),
)
UNREAD = (
    unread("100 answers of 1.7 MB unread", LARGE_ANSWER, connections=1, calls=100),
    unread("1,000 answers of 1.7 MB unread", LARGE_ANSWER, connections=1, calls=1_000, held=LONG_SECONDS),
    unread(
        "the same, within the server's settings",
        LARGE_ANSWER,
        connections=1,
        calls=1_000,
        polite=True,
        held=LONG_SECONDS,
    ),
    unread(
        "40 connections, each 100 answers of 1.7 MB unread",
        LARGE_ANSWER,
        connections=40,
        calls=100,
        polite=True,
        held=LONG_SECONDS,
    ),
    unread(
        "40 connections, each 100 answers of 30 kB unread",
        MIDDLING_ANSWER,
        connections=40,
        calls=100,
        polite=True,
    ),
    unread(
        "4 connections, each 25 adjacency lists unread",
        Request(f"{GRAPH}/GetAdjacencyList", bytes, compressed=False),
        connections=4,
        calls=25,
        polite=True,
    ),
    unread(
        "4 connections, each 25 watchers of everything unread",
        Request(f"{GRAPH}/Watch", lambda: b"\x10\x01", compressed=False),
        connections=4,
        calls=25,
        polite=True,
    ),
)
CROWDS = (
    unfinished(
        "1,500 half-sent requests of 60 KiB",
        TRAVERSE,
        connections=15,
        calls=100,
        declared=60 * KIB,
        sent=30 * KIB,
    ),
    unfinished(
        "40 connections, each an unfinished message of 16 MiB",
        _UPSERT,
        connections=40,
        calls=1,
        declared=16 * MIB,
    ),
    unfinished(
        "40 connections, each an unfinished message of 4 MiB",
        f"{GRAPH}/BatchTraverse",
        connections=40,
        calls=1,
        declared=4 * MIB,
    ),
    unfinished(
        "40 connections, each 10 unfinished messages of 4 MiB",
        f"{GRAPH}/BatchTraverse",
        connections=40,
        calls=10,
        declared=4 * MIB,
    ),
    idle("3,000 idle connections", 3_000),
    crowd("5,000 small calls at once of one client", SMALL_ANSWER, 5_000),
    crowd("5,000 calls at once of one client, answers of 30 kB", MIDDLING_ANSWER, 5_000),
)
# Those last that write.
ATTACKS = {attack.name: attack for attack in (*UNREAD, *CROWDS, *BOMBS, *SIDES)}


def _batch(size: int) -> bytes:
    return _filled(_tagged(1, _filtered(size - 32)), size)
