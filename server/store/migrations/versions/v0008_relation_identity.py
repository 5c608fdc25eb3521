"""
The feed notices that tables, triggers or functions were swapped.

Pruning waits for readers that read everything.
"""

from server.store.migrations.versions import steps_of

revision = "0008"
down_revision = "0007"
upgrade, downgrade = steps_of("0008_relation_identity")
