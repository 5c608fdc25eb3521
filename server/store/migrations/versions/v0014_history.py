"""History: an undo log of structural changes, and marks."""

from server.store.migrations.versions import steps_of

revision = "0014"
down_revision = "0013"
upgrade, downgrade = steps_of("0014_history")
