"""The change feed: log, triggers and the functions that readers use."""

from server.store.migrations.scripts import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create it."""
    run_script("0004_change_feed.up.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0004_change_feed.down.sql")
