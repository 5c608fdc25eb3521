"""A function that puts feed triggers back."""

from server.store.migrations.scripts import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create it."""
    run_script("0005_trigger_repair.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0005_trigger_repair.down.sql")
