"""Services have a kind."""

from server.store.migrations.scripts import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the kind; what is there is a service."""
    run_script("0009_service_kind.up.sql")


def downgrade() -> None:
    """Take the kind away."""
    run_script("0009_service_kind.down.sql")
