"""The circular_dependency_alerts table."""

from server.store.migrations.scripts import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create it."""
    run_script("0003_circular_dependency_alerts.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0003_circular_dependency_alerts.down.sql")
