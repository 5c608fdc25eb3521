"""The services table."""

from server.store.migrations.versions import steps_of

revision = "0001"
down_revision: str | None = None
upgrade, downgrade = steps_of("0001_services")
