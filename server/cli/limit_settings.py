"""Flags and environment of what callers may take; sizes are bytes, lengths of time seconds. Why so much stands in docs/operations.md."""

from typing import Annotated

import typer

from server.cli.settings import A_DAY, checked_seconds
from server.config import Limits

LIMITS = Limits()
CONNECTION_IDLE_TIMEOUT = LIMITS.connection_idle_timeout.total_seconds()


# gRPC takes twice a size, and ten times a number of streams, in 32 bits.
_MOST_BYTES, _MOST_OF_ANYTHING_ELSE = 2**30 - 1, 100_000_000


def _most(name: str, help_text: str, *, metavar: str = "BYTES", least: int = 1) -> object:
    return typer.Option(
        f"--max-{name}",
        envvar=f"DEPGRAPH_MAX_{name.replace('-', '_').upper()}",
        metavar=metavar,
        min=least,
        max=_MOST_BYTES if metavar == "BYTES" else _MOST_OF_ANYTHING_ELSE,
        help=help_text,
    )


MaxQuestionBytes = Annotated[
    int, _most("question-bytes", "The longest request of a method that takes neither lists nor metadata.")
]
MaxMetadataRequestBytes = Annotated[
    int, _most("metadata-request-bytes", "The longest request of a method that takes free-form metadata.")
]
MaxRequestBytes = Annotated[
    int, _most("request-bytes", "The longest request of a method that takes lists without metadata.")
]
MaxRequestsBytes = Annotated[
    int, _most("requests-bytes", "How much of large requests may be worked on at once.")
]
MaxItems = Annotated[int, _most("items", "The longest list that a request may hold.", metavar="N")]
MaxResponseBytes = Annotated[int, _most("response-bytes", "The longest answer in one message.", least=4_096)]
MaxUnsentBytes = Annotated[
    int, _most("unsent-bytes", "How much of answers may wait to be read (transport grpcio).")
]
MaxUnsentBytesPerConnection = Annotated[
    int,
    _most(
        "unsent-bytes-per-connection",
        "How much of answers may wait to be read on one connection (transport grpcio).",
    ),
]
MaxConcurrentCalls = Annotated[
    int, _most("concurrent-calls", "Calls that may be answered at once.", metavar="N")
]
MaxStreamingCalls = Annotated[
    int,
    _most(
        "streaming-calls",
        "Calls with a stream of answers, watches too, that may be open at once.",
        metavar="N",
    ),
]
MaxStreamsPerConnection = Annotated[
    int,
    _most(
        "streams-per-connection",
        "Calls that may be open at once on one connection; clients make others wait.",
        metavar="N",
    ),
]
MaxConnections = Annotated[
    int,
    _most(
        "connections",
        "Connections of clients; further ones are closed at once (transport grpcio).",
        metavar="N",
    ),
]
ConnectionIdleTimeout = Annotated[
    float,
    typer.Option(
        "--connection-idle-timeout",
        envvar="DEPGRAPH_CONNECTION_IDLE_TIMEOUT",
        metavar="SECONDS",
        min=1,
        max=A_DAY,
        callback=checked_seconds,
        help="A connection without calls for so long is closed (transport grpcio); clients open another when they need one.",
    ),
]
