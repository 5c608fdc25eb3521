"""Aliases of services."""

from server.store.migrations.versions import steps_of

revision = "0012"
down_revision = "0011"
upgrade, downgrade = steps_of("0012_service_aliases")
