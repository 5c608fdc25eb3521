"""Services have a kind."""

from server.store.migrations.versions import steps_of

revision = "0009"
down_revision = "0008"
upgrade, downgrade = steps_of("0009_service_kind")
