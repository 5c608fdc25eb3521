"""The options of ``depgraph serve`` that limit callers; docs/operations.md gives the reasons."""

from typing import Annotated, Any

from server.cli.options import DAY, DEFAULTS, seconds, setting
from server.cli.validation import checked_rate

LIMITS = DEFAULTS.limits
CONNECTION_IDLE_TIMEOUT = LIMITS.connection_idle_timeout.total_seconds()

# gRPC doubles a size, and multiplies a number of streams by ten, in 32 bits.
_MAX_BYTES, _MAX_COUNT = 2**30 - 1, 100_000_000
# The least is one call in a quarter of an hour.
_MIN_RATE, _MAX_RATE = 0.001, 1_000_000


def _bytes(name: str, help_text: str, least: int = 1) -> Any:
    return setting(name, help_text, metavar="BYTES", min=least, max=_MAX_BYTES)


def _count(name: str, help_text: str) -> Any:
    return setting(name, help_text, metavar="N", min=1, max=_MAX_COUNT)


MaxQuestionBytes = Annotated[
    int, _bytes("max-question-bytes", "Longest request of a method that takes neither lists nor metadata.")
]
MaxMetadataRequestBytes = Annotated[
    int, _bytes("max-metadata-request-bytes", "Longest request of a method that takes free-form metadata.")
]
MaxRequestBytes = Annotated[
    int, _bytes("max-request-bytes", "Longest request of a method that takes lists without metadata.")
]
MaxOtlpRequestBytes = Annotated[int, _bytes("max-otlp-request-bytes", "Longest export of metrics by OTLP.")]
MaxOtlpSeries = Annotated[
    int, _count("max-otlp-series", "Series of OTLP whose last value is kept; further ones are skipped.")
]
MaxRequestsBytes = Annotated[
    int, _bytes("max-requests-bytes", "Total size of the large requests in progress at once.")
]
MaxItems = Annotated[int, _count("max-items", "Longest list in a request.")]
MaxResponseBytes = Annotated[int, _bytes("max-response-bytes", "Longest response message.", 4_096)]
MaxUnsentBytes = Annotated[
    int, _bytes("max-unsent-bytes", "Total size of responses that wait to be read (transport grpcio).")
]
MaxUnsentBytesPerConnection = Annotated[
    int,
    _bytes(
        "max-unsent-bytes-per-connection",
        "Size of responses that wait to be read on one connection (transport grpcio).",
    ),
]
MaxConcurrentCalls = Annotated[int, _count("max-concurrent-calls", "Calls in progress at once.")]
MaxStreamingCalls = Annotated[
    int, _count("max-streaming-calls", "Streaming calls open at once, watches included.")
]
MaxConcurrentAnalyses = Annotated[
    int,
    _count("max-concurrent-analyses", "Analyses and pictures in progress at once; other calls have theirs."),
]
MaxWatches = Annotated[int, _count("max-watches", "Watches of the graph open at once.")]
MaxStreamsPerPrincipal = Annotated[
    int,
    _count(
        "max-streams-per-principal",
        "Streaming calls of one caller open at once; without an identity, of one address.",
    ),
]
RateLimit = Annotated[
    float | None,
    setting(
        "rate-limit",
        "Calls a second of one caller; without an identity, of one address. Default: any number.",
        metavar="CALLS_PER_SECOND",
        min=_MIN_RATE,
        max=_MAX_RATE,
        callback=checked_rate,
    ),
]
RateBurst = Annotated[
    int | None,
    setting(
        "rate-burst",
        "Calls that one caller may make at once after a rest. Default: those of a second.",
        metavar="CALLS",
        min=1,
        max=_MAX_COUNT,
    ),
]
MaxStreamsPerConnection = Annotated[
    int,
    _count("max-streams-per-connection", "Calls open at once on one connection; clients hold others back."),
]
MaxConnections = Annotated[
    int,
    _count("max-connections", "Client connections; further ones are closed at once (transport grpcio)."),
]
ConnectionIdleTimeout = Annotated[
    float,
    seconds(
        "connection-idle-timeout",
        "Close a connection without calls after this long; clients reconnect when they need to "
        "(transport grpcio).",
        1,
        DAY,
    ),
]
