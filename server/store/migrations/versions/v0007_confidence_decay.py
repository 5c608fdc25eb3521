"""Confidence that decays; the one reported is kept beside it."""

from server.store.migrations.scripts import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what decay needs to the dependencies."""
    run_script("0007_confidence_decay.up.sql")


def downgrade() -> None:
    """Give decayed dependencies their confidence back, and take it away."""
    run_script("0007_confidence_decay.down.sql")
