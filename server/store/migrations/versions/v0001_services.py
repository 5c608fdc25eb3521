"""The services table."""

from server.store.migrations.scripts import run_script

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create it."""
    run_script("0001_services.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0001_services.down.sql")
