"""A function that puts feed triggers back."""

from server.store.migrations.versions import steps_of

revision = "0005"
down_revision = "0004"
upgrade, downgrade = steps_of("0005_trigger_repair")
