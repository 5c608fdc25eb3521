"""What people have to look after, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from server.domain.health import Audit
from server.postgres import Cause

# Shorter absences are everyday life: a restart, a failover.
TOLERATED_ABSENCE = timedelta(seconds=10)
TOLERATED_PRUNING_PAUSE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the problems are told from; a length of time None = it does not go on."""

    away_for: timedelta | None = None
    away_because: Cause | None = None
    has_stepped: bool = True
    missing_triggers: tuple[str, ...] = ()
    table_faults: tuple[str, ...] = ()
    last_audit: Audit | None = None
    examples: tuple[str, ...] = ()
    unpruned_for: timedelta | None = None
    max_unpruned: timedelta = TOLERATED_PRUNING_PAUSE


def problems(signs: Signs) -> Iterator[str]:
    """Tell what is wrong, the worst first; nothing = all is well."""
    yield from away(signs)
    if signs.missing_triggers:
        yield (
            f"feed triggers are missing, not enabled ALWAYS or altered ({', '.join(signs.missing_triggers)}), so changes may go unseen "
            "for seconds or more: run 'depgraph doctor --repair'"
        )
    if signs.table_faults:
        yield (
            f"changes may go unseen for seconds or more, or rows be hidden: {'; '.join(signs.table_faults)}. "
            "The two tables must be ordinary ones, and the server's role must see all rows"
        )
    if signs.last_audit is not None and signs.last_audit.differing_rows:
        audit = signs.last_audit
        yield (
            f"the audit of {audit.began_at:%Y-%m-%d %H:%M:%S} UTC found {audit.differing_rows:,} rows in memory that differed from the "
            f"tables ({'; '.join(signs.examples)}), and everything was read again: somebody writes past the feed triggers"
        )
    if signs.unpruned_for is not None and signs.unpruned_for >= signs.max_unpruned:
        yield f"the change log has not been pruned for {_seconds(signs.unpruned_for)} and grows: see this server's log"


def away(signs: Signs) -> Iterator[str]:
    """Tell why the feed does not get on: at once if it will not pass by itself, else when it has taken a while."""
    cause, length = signs.away_because, signs.away_for
    if cause is None or length is None:
        return
    if cause.is_lasting:
        age = f"; answers have been getting old for {_seconds(length)}" if signs.has_stepped else ""
        yield f"{cause}{age}"
    elif length >= TOLERATED_ABSENCE and not signs.has_stepped:
        yield f"the database has been away for {_seconds(length)}: {cause.found}"
    elif length >= TOLERATED_ABSENCE:
        yield f"the database has been away for {_seconds(length)}, and answers are as old: {cause.found}"


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():,.0f} s"
