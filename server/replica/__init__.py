"""The graph in memory: moved on by the feed, read at a revision, and watched."""

from server.replica.replica import Replica
from server.replica.watching import Watches

__all__ = ["Replica", "Watches"]
