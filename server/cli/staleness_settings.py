"""Flags and environment of staleness: what becomes of dependencies that are not observed any more, by discovery source."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource

SWEEP_INTERVAL = "1m"
LONGEST = timedelta(days=36_500)

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION = re.compile(r"(?P<count>[0-9]{1,12})(?P<unit>[smhdw])", re.ASCII)
_NEVER = "none"

StaleAfter = Annotated[
    list[str] | None,
    typer.Option(
        "--stale-after",
        envvar="DEPGRAPH_STALE_AFTER",
        metavar="SOURCE=DURATION",
        help="When what a discovery source does not observe any more becomes stale, such as otel_service_graph=7d; can be repeated. "
        "Without it: never.",
    ),
]
ConfidenceHalfLife = Annotated[
    list[str] | None,
    typer.Option(
        "--confidence-half-life",
        envvar="DEPGRAPH_CONFIDENCE_HALF_LIFE",
        metavar="SOURCE=DURATION",
        help="In which time the confidence of what is not observed any more halves, such as service_mesh=3d; can be repeated. "
        "SOURCE=none gives what has decayed its confidence back. Without it: no decay.",
    ),
]
SweepInterval = Annotated[
    str,
    typer.Option(
        "--sweep-interval",
        envvar="DEPGRAPH_SWEEP_INTERVAL",
        metavar="DURATION",
        help="How often to look for what has become stale or less certain.",
    ),
]


def checked_staleness(
    stale_after: Sequence[str] | None, half_life: Sequence[str] | None, sweep_interval: str
) -> StalenessSettings:
    """Read the three flags; ``BadParameter`` that names the flag."""
    return StalenessSettings(
        stale_after=_by_source(stale_after or (), "--stale-after"),
        half_life=_by_source(half_life or (), "--confidence-half-life"),
        sweep_interval=_duration(sweep_interval, "--sweep-interval"),
    )


def _by_source(values: Sequence[str], flag: str) -> dict[DiscoverySource, timedelta | None]:
    found: dict[DiscoverySource, timedelta | None] = {}
    for value in values:
        word, equals, length = value.partition("=")
        source = next((known for known in DISCOVERY_SOURCES if known == word), None)
        if not equals or source is None:
            raise typer.BadParameter(
                f"{value!r}: expected SOURCE=DURATION with one of the sources {', '.join(DISCOVERY_SOURCES)}",
                param_hint=flag,
            )
        if source in found:
            raise typer.BadParameter(f"{value!r}: {source} was given before", param_hint=flag)
        found[source] = None if length == _NEVER else _duration(length, flag, f", or {_NEVER}")
    return found


def _duration(text: str, flag: str, alternative: str = "") -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: expected a whole number and a unit, such as 90s, 30m, 12h, 7d or 4w{alternative}",
            param_hint=flag,
        )
    count, unit = int(match["count"]), _UNITS[match["unit"]]
    if not 0 < count <= LONGEST // unit:
        raise typer.BadParameter(
            f"{text!r}: a duration must be longer than 0 and at most {LONGEST.days} days{alternative}",
            param_hint=flag,
        )
    return count * unit
