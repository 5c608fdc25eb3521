"""
The feed notices that tables, triggers or functions were swapped.

Pruning waits for readers that read everything.
"""

from server.store.migrations.scripts import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the identity of what the feed rests on a part of its incarnation."""
    run_script("0008_relation_identity.up.sql")


def downgrade() -> None:
    """Judge continuity by transaction ids and triggers alone again."""
    run_script("0008_relation_identity.down.sql")
