"""Changes out of PostgreSQL: a snapshot cursor over a log of changed keys."""

from server.feed.follower import Feed
from server.feed.pruner import prune_forever

__all__ = ["Feed", "prune_forever"]
