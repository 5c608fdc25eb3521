"""The change feed: log, triggers and the functions that readers use."""

from server.store.migrations.versions import steps_of

revision = "0004"
down_revision = "0003"
upgrade, downgrade = steps_of("0004_change_feed")
