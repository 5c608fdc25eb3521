"""The circular_dependency_alerts table."""

from server.store.migrations.versions import steps_of

revision = "0003"
down_revision = "0002"
upgrade, downgrade = steps_of("0003_circular_dependency_alerts")
