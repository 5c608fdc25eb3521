"""Confidence that decays; the one reported is kept beside it."""

from server.store.migrations.versions import steps_of

revision = "0007"
down_revision = "0006"
upgrade, downgrade = steps_of("0007_confidence_decay")
