"""Changes out of PostgreSQL: a snapshot cursor over a log of changed keys."""

from server.feed.audit import Auditor
from server.feed.follower import Feed
from server.feed.history import ChangeLogReader
from server.feed.pruner import prune_forever
from server.feed.vitals import Vitals

__all__ = ["Auditor", "ChangeLogReader", "Feed", "Vitals", "prune_forever"]
