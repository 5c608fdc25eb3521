"""What happened to the graph since the alerts were last level with it, as far as it was seen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from server.domain.detection import CyclePath, KeptAlert, smallest_first
from server.domain.moves import GAINS, LOSSES, Move, MoveKind, Unseen

_MOST_NAMED = 3
_WORDS = {
    MoveKind.ADDED: "{} → {} was added",
    MoveKind.REVIVED: "{} → {} is fresh again",
    MoveKind.TRUSTED: "{} → {} reached the least confidence",
    MoveKind.REMOVED: "{} → {} was removed",
    MoveKind.STALE: "{} → {} went stale",
    MoveKind.DOUBTED: "{} → {} fell below the least confidence",
}
_UNSEEN = {
    Unseen.TOOK_OVER: "the cause was not seen: it came before this server took over",
    Unseen.RELOADED: "the cause was not seen: the whole graph was read anew",
    Unseen.LARGE: "the cause was not seen: it was among very many changes at once",
    Unseen.COMPARED: "the cause was not seen: it was found when alerts and graph were compared",
}
UNKNOWN = "the cause is not known"


@dataclass(frozen=True, slots=True)
class Causes:
    """
    Moves since the last round, in the names of today, the latest last; ``unseen``: why some may be missing.

    ``renames`` lead from names of the last round to those of today.
    """

    moves: Sequence[Move] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    unseen: Unseen | None = None

    def of_loss(self, members: Collection[str], path: CyclePath = ()) -> str:
        """Say why services that all reached each other don't any more; what was lost from ``path`` comes first."""
        inside = set(members)
        gone = {
            move.source
            for move in self.moves
            if move.kind is MoveKind.SERVICE_REMOVED and move.source in inside
        }
        lost = [
            move
            for move in self.moves
            if move.kind in LOSSES
            and {move.source, move.target} <= inside
            and not gone & {move.source, move.target}
        ]
        steps = _steps(path)
        lost.sort(key=lambda move: ((move.source, move.target) not in steps, move.source, move.target))
        return self._told([*(f"service {name} was removed" for name in sorted(gone)), *_phrases(lost)])

    def of_gain(
        self, members: Collection[str], former: Sequence[Collection[str]] = (), path: CyclePath = ()
    ) -> str:
        """
        Say why services all reach each other now; dependencies inside one of the ``former`` components had no part in that.

        What was gained on ``path`` comes first.
        """
        inside = set(members)
        group = {name: place for place, names in enumerate(former) for name in names}
        gained = [
            move
            for move in self.moves
            if move.kind in GAINS and {move.source, move.target} <= inside and not _within(move, group)
        ]
        steps = _steps(path)
        gained.sort(key=lambda move: ((move.source, move.target) not in steps, move.source, move.target))
        return self._told(_phrases(gained))

    def of_path(self, former: CyclePath, path: CyclePath) -> str:
        """Say why another cycle stands for a component now: something of the former one was lost, or the new one was gained."""
        was, now = _steps(former), _steps(path)
        moves = [
            move
            for move in self.moves
            if (move.kind in LOSSES and (move.source, move.target) in was)
            or (move.kind in GAINS and (move.source, move.target) in now)
        ]
        moves.sort(key=lambda move: (move.source, move.target))
        called = {new: old for old, new in self.renames.items()}
        renames = [f"{called[name]} is called {name} now" for name in path if name in called]
        return self._told([*_phrases(moves), *renames])

    def renamed(self, alert: KeptAlert) -> KeptAlert:
        """Return an alert as it would be had its services had today's names before. O(members) if any was renamed."""
        if not self.renames:
            return alert
        now = self.renames
        return replace(
            alert,
            cycle_path=smallest_first(tuple(now.get(name, name) for name in alert.cycle_path)),
            members=tuple(sorted(now.get(name, name) for name in alert.members)),
        )

    def _told(self, phrases: Sequence[str]) -> str:
        if not phrases:
            return UNKNOWN if self.unseen is None else _UNSEEN[self.unseen]
        return listed(phrases)


def listed(phrases: Sequence[str]) -> str:
    """Join phrases, each once and three of them at most."""
    distinct = list(dict.fromkeys(phrases))
    more = len(distinct) - _MOST_NAMED
    return ", ".join(distinct[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _steps(path: CyclePath) -> set[tuple[str, str]]:
    return set(zip(path, path[1:] + path[:1], strict=True)) if path else set()


def _phrases(moves: Sequence[Move]) -> list[str]:
    return [_WORDS[move.kind].format(move.source, move.target) for move in moves]


def _within(move: Move, group: Mapping[str, int]) -> bool:
    source = group.get(move.source)
    return source is not None and source == group.get(move.target)
