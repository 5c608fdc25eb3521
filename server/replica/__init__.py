"""The live graph: loaded, moved on by the feed, waited for by readers, followed by watchers."""

from server.replica.replica import Replica
from server.replica.watching import Watches

__all__ = ["Replica", "Watches"]
