"""The history of alerts, and what detection knows of them."""

from server.store.migrations.scripts import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create it."""
    run_script("0006_alert_history.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0006_alert_history.down.sql")
