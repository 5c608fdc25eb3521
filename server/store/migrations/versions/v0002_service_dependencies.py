"""The service_dependencies table."""

from server.store.migrations.versions import steps_of

revision = "0002"
down_revision = "0001"
upgrade, downgrade = steps_of("0002_service_dependencies")
