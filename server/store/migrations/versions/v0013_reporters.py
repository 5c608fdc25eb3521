"""Who reports, and how that went."""

from server.store.migrations.versions import steps_of

revision = "0013"
down_revision = "0012"
upgrade, downgrade = steps_of("0013_reporters")
