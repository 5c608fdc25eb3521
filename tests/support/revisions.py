"""Revisions of answers, which whoever marks the history moves on, whatever the graph does."""

from server.domain.revision import Revision


def is_at_least(later: str, earlier: str) -> bool:
    """Whether the answer of one token saw everything that the answer of another did."""
    snapshot = Revision.parse(later).snapshot
    assert snapshot is not None
    return Revision.parse(earlier).held_by(snapshot)
