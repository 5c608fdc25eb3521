"""
The attacks on a server of 20,000 services ``s0``, ``s1``, ….

Requests stand on both sides of each limit. Attacks that write come last.
"""

from collections.abc import Callable

from bench.attacks import KIB, Request, asked, crowd, idle, unfinished, unread
from bench.calls import TRAVERSE, question
from depgraph.v1 import catalog_service_pb2 as catalog_pb

MIB = 1024 * KIB
LONG_SECONDS = 8
GRAPH = "/depgraph.v1.GraphService"
CATALOG = "/depgraph.v1.CatalogService"
DEPENDENCIES = "/depgraph.v1.DependencyService"
ALERTS = "/depgraph.v1.AlertService"
ANALYSES = "/depgraph.v1.AnalysisService"


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
    """Build a request of ``size`` bytes: service s1 in field 1, filled up by an unknown field."""
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
    """Upsert existing services with metadata that makes a request of about that size."""
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


def _batch(size: int) -> bytes:
    return _filled(_tagged(1, _filtered(size - 32)), size)


LARGE_ANSWER = Request(TRAVERSE, lambda: _full(4_600), compressed=False)
SMALL_ANSWER = Request(TRAVERSE, lambda: question("s7", "IDS").SerializeToString(), compressed=False)
MIDDLING_ANSWER = Request(TRAVERSE, lambda: question("s7", "FULL").SerializeToString(), compressed=False)
_BOMB = 7_000_000
_UPSERT = f"{CATALOG}/BatchUpsertServices"

BOMBS = (
    asked("7 M empty services, 8 in turn", _UPSERT, _empties(1, _BOMB), in_turn=8),
    asked("7 M empty services, 8 at once", _UPSERT, _empties(1, _BOMB), at_once=8),
    asked("7 M added, 8 at once", f"{ANALYSES}/CheckChange", _empties(1, _BOMB), at_once=8),
    asked("7 M removed, 8 at once", f"{ANALYSES}/CheckChange", _empties(2, _BOMB), at_once=8),
    asked("7 M requests", f"{GRAPH}/BatchTraverse", _empties(1, _BOMB), at_once=2),
    asked("7 M nodes", f"{DEPENDENCIES}/IngestGraph", _empties(3, _BOMB), at_once=2),
    asked("7 M edges", f"{DEPENDENCIES}/IngestGraph", _empties(4, _BOMB), at_once=2),
    asked("7 M dependencies", f"{DEPENDENCIES}/BatchUpsertDependencies", _empties(1, _BOMB), at_once=2),
    asked("7 M names", f"{ALERTS}/CreateAlert", _empties(1, _BOMB), at_once=2),
    asked("7 M names", f"{ALERTS}/CheckCycle", _empties(1, _BOMB), at_once=2),
    asked(
        "8 M modes in one filter",
        f"{GRAPH}/BatchTraverse",
        lambda: _tagged(1, _filtered(8_000_000)),
        at_once=2,
    ),
    asked("8 M modes", TRAVERSE, lambda: _filtered(8_000_000), at_once=2),
    asked("8 M modes", f"{GRAPH}/StreamTraverse", lambda: _filtered(8_000_000), at_once=2),
    asked("8 M modes", f"{ANALYSES}/FindPaths", lambda: _tagged(6, _tagged(1, b"\x01" * 8_000_000))),
    asked("metadata of 14 MiB", f"{CATALOG}/CreateService", lambda: _service(14 * MIB)),
    asked("1 M paths", f"{CATALOG}/UpdateService", lambda: _masked(1_000_000), at_once=2),
    asked("7 M paths", f"{CATALOG}/UpdateService", lambda: _masked(_BOMB), at_once=2),
    asked("64 MB of zeros", _UPSERT, lambda: bytes(64_000_000)),
    asked("655 MB of zeros", _UPSERT, lambda: bytes(655_000_000)),
    asked("655 MB of zeros, 8 at once", _UPSERT, lambda: bytes(655_000_000), at_once=8),
    asked("15 MB unknown", "/grpc.health.v1.Health/Check", lambda: _filled(b"", 15_000_000), at_once=8),
    asked("15 MB unknown", "/depgraph.v1.GraphService/Nothing", lambda: bytes(15_000_000), at_once=8),
)
SIDES = (
    asked("10,000 empty", _UPSERT, _empties(1, 10_000), at_once=8),
    asked("10,001 empty", _UPSERT, _empties(1, 10_001), at_once=8),
    asked("10,000 empty added", f"{ANALYSES}/CheckChange", _empties(1, 10_000), at_once=8),
    asked("10,001 empty added", f"{ANALYSES}/CheckChange", _empties(1, 10_001), at_once=8),
    asked("filter of 64 KiB", TRAVERSE, lambda: _filled(_filtered(64 * KIB - 9), 64 * KIB), at_once=8),
    asked(
        "filter of 64 KiB + 1", TRAVERSE, lambda: _filled(_filtered(64 * KIB - 9), 64 * KIB + 1), at_once=8
    ),
    asked("filter of 4 MiB", f"{GRAPH}/BatchTraverse", lambda: _batch(4 * MIB), at_once=2),
    asked("filter of 4 MiB + 1", f"{GRAPH}/BatchTraverse", lambda: _batch(4 * MIB + 1), at_once=2),
    asked("metadata of 2 MiB + 1", f"{CATALOG}/UpdateService", lambda: _service(2 * MIB + 1), at_once=8),
    # From here on they write.
    asked("metadata of 2 MiB", f"{CATALOG}/CreateService", lambda: _service(2 * MIB), at_once=8),
    asked("metadata of 2 MiB", _UPSERT, lambda: _service(2 * MIB), at_once=8),
    asked("10,000 that are valid, 2 MiB", _UPSERT, lambda: _known_services(10_000, 2 * MIB), at_once=4),
    asked("metadata of 2 MiB + 1", _UPSERT, lambda: _service(2 * MIB + 1), at_once=8),
    asked("10,000 that are valid, 2 MiB + 1", _UPSERT, lambda: _known_services(10_000, 2 * MIB + 1)),
)
UNREAD = (
    unread("100 answers of 1.7 MB unread", LARGE_ANSWER, 1, 100),
    unread("1,000 answers of 1.7 MB unread", LARGE_ANSWER, 1, 1_000, held=LONG_SECONDS),
    unread(
        "1,000 answers of 1.7 MB unread, by a client that keeps to the limit of streams",
        LARGE_ANSWER,
        1,
        1_000,
        polite=True,
        held=LONG_SECONDS,
    ),
    unread(
        "40 connections, each 100 answers of 1.7 MB unread",
        LARGE_ANSWER,
        40,
        100,
        polite=True,
        held=LONG_SECONDS,
    ),
    unread("40 connections, each 100 answers of 30 kB unread", MIDDLING_ANSWER, 40, 100, polite=True),
    unread(
        "4 connections, each 25 adjacency lists unread",
        Request(f"{GRAPH}/GetAdjacencyList", bytes, compressed=False),
        4,
        25,
        polite=True,
    ),
    unread(
        "4 connections, each 25 watchers of everything unread",
        Request(f"{GRAPH}/Watch", lambda: b"\x10\x01", compressed=False),
        4,
        25,
        polite=True,
    ),
)
CROWDS = (
    unfinished("1,500 half-sent requests of 60 KiB", TRAVERSE, 15, 100, declared=60 * KIB, sent=30 * KIB),
    unfinished("40 connections, each an unfinished message of 16 MiB", _UPSERT, 40, 1, declared=16 * MIB),
    unfinished(
        "40 connections, each an unfinished message of 4 MiB",
        f"{GRAPH}/BatchTraverse",
        40,
        1,
        declared=4 * MIB,
    ),
    unfinished(
        "40 connections, each 10 unfinished messages of 4 MiB",
        f"{GRAPH}/BatchTraverse",
        40,
        10,
        declared=4 * MIB,
    ),
    idle("3,000 idle connections", 3_000),
    crowd("5,000 small calls at once of one client", SMALL_ANSWER, 5_000),
    crowd("5,000 calls at once of one client, answers of 30 kB", MIDDLING_ANSWER, 5_000),
)
ATTACKS = {attack.name: attack for attack in (*UNREAD, *CROWDS, *BOMBS, *SIDES)}
