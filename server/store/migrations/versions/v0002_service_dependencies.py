"""The service_dependencies table."""

from server.store.migrations.scripts import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create it."""
    run_script("0002_service_dependencies.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0002_service_dependencies.down.sql")
