"""The history of alerts, and what detection knows of them."""

from server.store.migrations.versions import steps_of

revision = "0006"
down_revision = "0005"
upgrade, downgrade = steps_of("0006_alert_history")
